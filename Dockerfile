# The two images, from one file:
#
#     docker build --tag augsvc .                                   the server
#     docker build --tag augsvc-trainer --target trainer .          augsvc-train
#
# torch comes from TORCH_INDEX: by default the CPU build. On x86-64 Linux PyPI has the build for CUDA, and
# download.pytorch.org/whl/cuXYZ those for other versions of it; empty means the index that pip is configured with:
#
#     docker build --tag augsvc:cuda --build-arg TORCH_INDEX=https://pypi.org/simple --build-arg EXTRA=cuda .
#
# EXTRA=cuda adds numba-cuda, with which executor fused runs on a GPU; its compiler is CUDA 13's, as torch's is.
# All but torch and its CUDA packages is installed by hash (deploy/requirements, written by deploy/lock.py). A private index:
# --secret id=pip,src=pip.conf, stored in no layer; it has to hold PyPI's own wheels.
#
#     base ─┬─ wheels        our two distributions, built
#           └─ torch ─┬─ trainer   packages, then our wheel
#                     └─ server    packages, then our wheels: a code change rebuilds only this last, small layer

# Python 3.11.16, for several architectures; `docker buildx imagetools inspect python:3.11-slim-bookworm` prints the newest digest
ARG PYTHON=3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM python:${PYTHON} AS base
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1


FROM base AS wheels
WORKDIR /src
ARG PIP_ROOT_USER_ACTION=ignore
COPY deploy/requirements/build.txt ./
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install --require-hashes --no-deps --requirement build.txt
COPY client client
COPY pyproject.toml README.md LICENSE ./
COPY augsvc augsvc
RUN pip wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheels/client ./client \
    && pip wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheels/server .


FROM base AS torch
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG PIP_ROOT_USER_ACTION=ignore
COPY constraints.txt deploy/requirements/torch.txt /opt/augsvc/
# only torch from its index, which may lack our versions of torch's dependencies: those come from pip's own index. A build for
# CUDA also needs packages of NVIDIA's, which the last command installs.
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --constraint /opt/augsvc/constraints.txt --no-deps \
        ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} torch \
    && pip --python /opt/venv/bin/python install --require-hashes --no-deps --requirement /opt/augsvc/torch.txt \
    && pip --python /opt/venv/bin/python install --constraint /opt/augsvc/constraints.txt torch
# A user by number, and the folder that stays writable in a read-only root: compiled kernels, matplotlib's fonts. Its mode
# is for other users (--user) and for a tmpfs, which takes the mode of the folder that it covers.
RUN groupadd --gid 10001 augsvc \
    && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin augsvc \
    && install --directory --owner 10001 --group 10001 --mode 1777 /var/cache/augsvc
ENV HOME=/tmp \
    XDG_CACHE_HOME=/var/cache/augsvc \
    MPLCONFIGDIR=/var/cache/augsvc/matplotlib \
    NUMBA_CACHE_DIR=/var/cache/augsvc/numba \
    CUDA_CACHE_PATH=/var/cache/augsvc/cuda
VOLUME ["/var/cache/augsvc"]
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"


FROM torch AS trainer
ARG PIP_ROOT_USER_ACTION=ignore
COPY deploy/requirements/trainer.txt /opt/augsvc/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps --requirement /opt/augsvc/trainer.txt \
    && install --directory --owner 10001 --group 10001 --mode 1777 /out
COPY --from=wheels /wheels/client /opt/augsvc/wheels
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-index --no-deps /opt/augsvc/wheels/*.whl
LABEL org.opencontainers.image.title="augsvc-trainer" \
      org.opencontainers.image.description="Trains the included network on batches from an augsvc server"
VOLUME ["/out"]
USER 10001:10001
WORKDIR /out
ENTRYPOINT ["augsvc-train"]


FROM torch AS server
ARG PIP_ROOT_USER_ACTION=ignore
ARG EXTRA=
COPY deploy/requirements/server.txt deploy/requirements/cuda.txt /opt/augsvc/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps --requirement /opt/augsvc/server.txt \
        ${EXTRA:+--requirement "/opt/augsvc/${EXTRA}.txt"}
COPY deploy/healthcheck.py /opt/augsvc/healthcheck.py
COPY --from=wheels /wheels/client /wheels/server /opt/augsvc/wheels/
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-index --no-deps /opt/augsvc/wheels/*.whl
LABEL org.opencontainers.image.title="augsvc" \
      org.opencontainers.image.description="Uniquely transformed batches for training jobs, over HTTP"
# all interfaces of the container: without tokens_file (or allow_unauthenticated) the server refuses to start
ENV AUGSVC_HOST=0.0.0.0 \
    AUGSVC_KERNEL_CACHE=/var/cache/augsvc/kernels \
    AUGSVC_PORT=8000
EXPOSE 8000
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-IS", "/opt/augsvc/healthcheck.py"]
ENTRYPOINT ["augsvc"]
CMD ["serve"]
