# Two images: Tillflow (API, worker, codec server, migrations: the argument says which), and for its
# compose file's profile `sandbox` the stand-in for Stripe, which is not in the first.
#
# The patch release is pinned. To pin the very bytes, put the digest behind the tag
# (python:3.11.16-slim-trixie@sha256:…); `docker buildx imagetools inspect` shows it.
ARG BASE=python:3.11.16-slim-trixie

FROM ${BASE} AS packages
COPY requirements-production.lock .
# Wheels only, so there is no compiler that could be left over.
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --only-binary=:all: \
        --require-hashes --requirement requirements-production.lock

FROM ${BASE} AS python
# /data is the sandbox's ledger; a named volume takes its owner from here.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tillflow \
    && install --directory --owner=tillflow --group=tillflow /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/tillflow
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
STOPSIGNAL SIGTERM

FROM python AS sandbox
COPY sandbox sandbox
ENTRYPOINT ["python", "-m", "sandbox"]

# The last one is what is built where none is named.
FROM python AS tillflow
COPY worker.py ./
COPY app app
COPY migrations migrations
ENV API_HOST=0.0.0.0 \
    CODEC_HOST=0.0.0.0
EXPOSE 8700 8706
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('API_PORT', '8700')), timeout=3); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["api"]
