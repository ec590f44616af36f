"""HTTP's face of the desk: a sign of life, and the door for SMSCode's events."""
