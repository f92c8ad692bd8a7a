# The operator: its packages at the versions that requirements/operator.txt pins by hash, and its own code.
#   docker build --file images/operator.Dockerfile --tag mtj-operator .
# It runs without root and with a read-only root file system. A base needs Python 3.11 as python3, and pip or apt-get.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
COPY images/install-uv requirements/uv.txt /build/
RUN /build/install-uv
COPY requirements/operator.txt /build/
RUN /opt/uv/bin/uv pip install --quiet --system-certs --python python3 --cache-dir /var/cache/uv --link-mode copy \
    --require-hashes --only-binary :all: --target /opt/mtj/packages --requirement /build/operator.txt
# Kubernetes' client is two thousand generated modules: 130 MB as files, a tenth as an archive, which Python reads as well.
RUN cd /opt/mtj/packages \
    && python3 -m compileall -q -b kubernetes \
    && find kubernetes -name '*.py' -delete \
    && find kubernetes -name __pycache__ -prune -exec rm -r {} + \
    && python3 -m zipfile -c /opt/mtj/kubernetes.zip kubernetes \
    && rm -r kubernetes bin \
    && python3 -m compileall -q .

FROM ${BASE_IMAGE}
COPY --from=packages /opt/mtj /opt/mtj
COPY images/mtj /usr/local/bin/mtj
COPY operator/mtj_api /opt/mtj/operator/mtj_api
COPY operator/mtj_operator /opt/mtj/operator/mtj_operator
RUN python3 -m compileall -q /opt/mtj/operator
# USER: kopf asks for the user's name, which a number alone does not have.
ENV USER=mtj PYTHONPATH=/opt/mtj/operator:/opt/mtj/packages:/opt/mtj/kubernetes.zip \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "mtj_operator.control"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mtj-operator" \
      org.opencontainers.image.description="The operator of MusicTrainingJob" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
