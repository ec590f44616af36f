"""Who may do what: every command of the table against every role, read off the table itself."""

import asyncio
import sqlite3

from bot.chat.commands.table import COMMANDS
from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, SAM
from tests.scene import Scene

PEOPLE = {Role.VIEWER: 3001, Role.OPERATOR: 3002, Role.APPROVER: 3003, Role.ADMIN: 3004}

FORBIDDEN_FRUIT = {
    "order": "whatsapp indonesia",
    "cancel": "1",
    "again": "1",
    "usage": str(OMAR),
    "approve": "1",
    "decline": "1",
    "allow": "1003 admin",
    "revoke": str(OMAR),
    "role": f"{OMAR} admin",
    "limit": "team_daily 1000000000",
    "pause": "because I can",
    "resolve": "1 refunded",
}
"""Arguments with which a command would really do something, were it let through."""


async def test_every_command_against_every_role(scene: Scene) -> None:
    for role, user_id in PEOPLE.items():
        await scene.hire(user_id, role.title(), role)
    await scene.order()
    await scene.ask(ADA, "/pause for the matrix", "New orders are stopped")
    await scene.settle()

    before = await scene.app.desk.database.read(_everything)
    bought = scene.sms.books.spent
    await asyncio.gather(*(_try_what_is_forbidden(scene, role) for role in PEOPLE))
    assert await scene.app.desk.database.read(_everything) == before
    assert scene.sms.books.spent == bought
    assert not await scene.audited("desk.resume")

    await asyncio.gather(*(_try_what_is_allowed(scene, role) for role in PEOPLE))


async def _try_what_is_forbidden(scene: Scene, role: Role) -> None:
    for command in COMMANDS:
        if not role.reaches(command.needed):
            text = f"/{command.name} {FORBIDDEN_FRUIT.get(command.name, '')}".strip()
            await scene.ask(PEOPLE[role], text, f"That needs the role {command.needed}.")


async def _try_what_is_allowed(scene: Scene, role: Role) -> None:
    """Each is answered, if only with how it is written; orders are paused, so that nothing is bought."""
    for command in COMMANDS:
        if role.reaches(command.needed):
            scene.say(PEOPLE[role], f"/{command.name}")
            answer = await scene.hears("", PEOPLE[role], patience=30)
            assert "needs the role" not in answer.text, (role, command.name)
            assert "Something broke" not in answer.text, (role, command.name)


async def test_a_stranger_gets_through_with_no_command(scene: Scene) -> None:
    before = await scene.app.desk.database.read(_everything)
    for command in COMMANDS:
        scene.say(SAM, f"/{command.name} {FORBIDDEN_FRUIT.get(command.name, '')}".strip())
    await scene.settle()
    assert await scene.app.desk.database.read(_everything) == before
    assert len(scene.said_by_bot(SAM)) == 1
    assert not scene.sms.books.requests


async def test_help_and_menus_show_each_role_its_own(scene: Scene) -> None:
    for role, user_id in PEOPLE.items():
        scene.telegram.add_user(user_id, role.title())
        scene.telegram.chats[user_id].started = True
        await scene.ask(ADA, f"/allow {user_id} {role}", f"is {'an' if role.value[0] in 'ao' else 'a'} {role} now")
        mine = [command.name for command in COMMANDS if role.reaches(command.needed)]
        shown = [entry["command"] for entry in scene.telegram.menu_for(user_id, user_id)]
        assert shown == mine
        page = await scene.ask(user_id, "/help", f"You are {'an' if role.value[0] in 'ao' else 'a'} {role}")
        listed = [line.split()[0].removeprefix("/") for line in page.text.splitlines() if line.startswith("/")]
        assert listed == [name for name in mine if name not in {"done", "resend", "reactivate"}]  # not over the guide
    hidden = await scene.ask(PEOPLE[Role.VIEWER], "/help allow", "You are a viewer. More on one command: /help catalog")
    assert "/allow" not in hidden.text
    empty = await scene.ask(PEOPLE[Role.VIEWER], "/orders", "No live orders.")
    assert "/order whatsapp" not in empty.text
    await scene.ask(PEOPLE[Role.ADMIN], "/help /ALLOW", "let somebody in")


async def test_a_demoted_admins_old_keyboard_is_dead_and_still_works_for_the_others(scene: Scene) -> None:
    bob = await scene.hire(PEOPLE[Role.ADMIN], "Bob", Role.ADMIN)
    scene.say(SAM, "/start")
    scene.press(SAM, await scene.hears("team only", SAM), "Ask for access")
    wanted = await scene.hears("asks to come in", bob, anew=False)
    await scene.ask(ADA, f"/role {bob} operator", "is an operator now")

    scene.press(bob, wanted, "Let in as operator")
    await scene.until(lambda: len(scene.telegram.callback_answers) == 2)
    refusal = scene.telegram.callback_answers[-1]
    assert "needs the role admin" in refusal.text
    assert refusal.show_alert
    assert await scene.count("SELECT count(*) FROM members WHERE user_id = ?", SAM) == 0

    await scene.ask(ADA, f"/role {bob} admin", "is an admin now")
    scene.press(bob, wanted, "Let in as operator")
    await scene.hears("You are in", SAM, anew=False)


def _everything(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """What a command could change; orders without what only watching them changes."""
    tables = {
        "members": "*",
        "limits": "*",
        "chats": "*",
        "settings": "*",
        "budget": "*",
        "orders": "id, member_id, state",
        "entry": "*",
        "audit": "*",
    }
    return {
        table: [tuple(row) for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2")]  # noqa: S608
        for table, columns in tables.items()
    }
