# syntax=docker/dockerfile:1
# Two images of one source. `api`: the base install, for serve, sweep and migrate. `worker`: the
# same on an inference stack, by default the CPU lock; on GPUs
#   docker build --target worker --build-arg WORKER_BASE=vllm/vllm-openai:v0.32.0 \
#     --build-arg LOCK=gpu .
# Everything is installed from a committed lock. Nothing runs as root, and nothing but
# /var/lib/holdfast, /models and /tmp is written at run time.
ARG WORKER_BASE=python:3.11-slim-bookworm

FROM ghcr.io/astral-sh/uv:0.13.8 AS uv

# --- api: no torch, no vllm --------------------------------------------------------------------
FROM python:3.11-slim-bookworm AS api-build
COPY --from=uv /uv /usr/local/bin/uv
WORKDIR /src
COPY pyproject.toml README.md ./
COPY locks/cpu.txt locks/cpu.txt
# The base dependencies in the locked versions: the lock is the constraint, pyproject the list.
RUN uv venv /opt/holdfast \
 && uv pip compile --quiet --no-header --constraint locks/cpu.txt --output-file /tmp/api.txt pyproject.toml \
 && uv pip sync --compile-bytecode --python /opt/holdfast/bin/python /tmp/api.txt
COPY holdfast holdfast
COPY service service
COPY workers workers
COPY training training
COPY migrations migrations
RUN uv build --wheel --out-dir /tmp/dist \
 && uv pip install --python /opt/holdfast/bin/python --no-deps /tmp/dist/*.whl

FROM python:3.11-slim-bookworm AS api
RUN groupadd --gid 10001 holdfast \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/holdfast holdfast \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/holdfast
COPY --from=api-build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 \
    HOLDFAST_HOME=/var/lib/holdfast HOLDFAST_HOST=0.0.0.0
WORKDIR /var/lib/holdfast
USER 10001:10001
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:8321/healthz', timeout=4).raise_for_status()"]
CMD ["holdfast", "serve"]

# --- worker: the same wheel on the locked inference stack ----------------------------------------
FROM ${WORKER_BASE} AS worker
ARG LOCK=cpu
COPY --from=uv /uv /usr/local/bin/uv
COPY locks/${LOCK}.txt /tmp/lock.txt
COPY --from=api-build /tmp/dist /tmp/dist
RUN python3 -c "import sys; assert sys.version_info[:2] >= (3, 11), sys.version" \
 && uv venv --python python3 /opt/holdfast \
 && if [ "$LOCK" = cpu ]; then backend="--torch-backend cpu"; else backend="--torch-backend auto"; fi \
 && uv pip sync --compile-bytecode --python /opt/holdfast/bin/python $backend /tmp/lock.txt \
 && uv pip install --python /opt/holdfast/bin/python --no-deps /tmp/dist/*.whl \
 && rm -rf /tmp/dist /tmp/lock.txt /root/.cache \
 && groupadd --gid 10001 holdfast \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/holdfast holdfast \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/holdfast
ENV PATH=/opt/holdfast/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 \
    HOLDFAST_HOME=/var/lib/holdfast HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 \
    VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
WORKDIR /var/lib/holdfast
USER 10001:10001
ENTRYPOINT []
# A worker answers on the broker, not on a port: alive is whoever replies to a ping.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
  CMD ["sh", "-c", "celery -A workers.main inspect ping -d holdfast@$(hostname)"]
CMD ["holdfast", "worker"]
