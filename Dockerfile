# The image for production. Every package is checked by its hash, in both stages.

FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements/build.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY storage storage
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /dist .

FROM python:3.12-slim
COPY requirements/run.txt /usr/local/share/otpdesk/
RUN pip install --no-cache-dir --require-hashes -r /usr/local/share/otpdesk/run.txt
COPY --from=build /dist /usr/local/share/otpdesk/
# The empty file lets the environment say everything; a file of yours can be mounted over it.
RUN pip install --no-cache-dir --no-index --no-deps /usr/local/share/otpdesk/otpdesk-*.whl \
    && install -D --mode 0644 /dev/null /etc/otpdesk/config.toml \
    && groupadd --gid 10001 otpdesk \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin otpdesk \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
ENV OTPDESK_STORAGE__PATH=/data/otpdesk.sqlite3 MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
USER 10001:10001
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 \
    CMD ["otpdesk", "healthy", "--config", "/etc/otpdesk/config.toml"]
ENTRYPOINT ["otpdesk"]
CMD ["run", "--config", "/etc/otpdesk/config.toml"]
