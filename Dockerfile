# Two images of one source. `api`: the base install, for serve, sweep and migrate. `worker`: the
# same on an inference stack, by default the CPU lock; on GPUs
#   docker build --target worker --build-arg WORKER_BASE=vllm/vllm-openai:v0.32.0 \
#     --build-arg LOCK=gpu .
# Nothing is resolved while an image is built: every Python package, uv and the build backend come
# from a committed lock with the sha256 of its file, and no package of the system is installed. The
# base images are pinned by digest where `make pin-images` has written one behind the tag
# (docs/supply.md). Nothing runs as root, and nothing but /var/lib/holdfast, /models and /tmp is
# written at run time.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG WORKER_BASE=${PYTHON_IMAGE}

FROM ${PYTHON_IMAGE} AS uv
COPY locks/uv.txt /tmp/uv.txt
RUN PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
    python -m pip install --no-cache-dir --require-hashes --only-binary :all: --target /opt/uv --requirement /tmp/uv.txt

# --- api: no torch, no vllm --------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS api-build
ENV UV_PYTHON_DOWNLOADS=never
COPY --from=uv /opt/uv/bin/uv /usr/local/bin/uv
WORKDIR /src
COPY pyproject.toml README.md ./
COPY locks locks
RUN uv venv /opt/holdfast \
 && uv pip sync --require-hashes --only-binary :all: --compile-bytecode --python /opt/holdfast/bin/python locks/base.txt
COPY holdfast holdfast
COPY service service
COPY workers workers
COPY training training
COPY migrations migrations
RUN uv build --wheel --out-dir /tmp/dist --build-constraints locks/build.txt --require-hashes \
 && uv pip install --offline --python /opt/holdfast/bin/python --no-deps /tmp/dist/*.whl

FROM ${PYTHON_IMAGE} AS api
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
ENV UV_PYTHON_DOWNLOADS=never
COPY --from=uv /opt/uv/bin/uv /usr/local/bin/uv
COPY locks /tmp/locks
COPY --from=api-build /tmp/dist /tmp/dist
RUN python3 -c "import sys; assert sys.version_info[:2] >= (3, 11), sys.version" \
 && uv venv --python python3 /opt/holdfast \
 && if [ "$LOCK" = cpu ]; then torch="--torch-backend cpu /tmp/locks/torch-cpu.txt"; else torch=; fi \
 && uv pip sync --require-hashes --build-constraints /tmp/locks/build.txt --require-build-hashes \
      --compile-bytecode --python /opt/holdfast/bin/python /tmp/locks/${LOCK}.txt $torch \
 && uv pip install --offline --python /opt/holdfast/bin/python --no-deps /tmp/dist/*.whl \
 && rm -rf /tmp/dist /tmp/locks /root/.cache \
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
