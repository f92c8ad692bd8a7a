# The operator: its packages at the versions that requirements/operator.txt pins by hash, and its own code.
#   docker build --file images/operator.Dockerfile --tag mtj-operator .
# It runs without root and with a read-only root file system. A base needs Python 3.11 as python3, and pip or apt-get.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
RUN python3 -m pip --version >/dev/null 2>&1 \
    || { apt-get update -qq && apt-get install --yes -qq --no-install-recommends python3-pip >/dev/null; }
COPY requirements/operator.txt /requirements.txt
RUN python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --only-binary=:all: --target=/opt/mtj/packages --requirement=/requirements.txt

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="mtj-operator" \
      org.opencontainers.image.description="The operator of MusicTrainingJob" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/mtj/packages /opt/mtj/packages
COPY operator/mtj_api /opt/mtj/operator/mtj_api
COPY operator/mtj_operator /opt/mtj/operator/mtj_operator
RUN python3 -m compileall -q /opt/mtj/operator
# USER: kopf asks for the user's name, which a number alone does not have.
ENV USER=mtj PYTHONPATH=/opt/mtj/operator:/opt/mtj/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "mtj_operator.control"]
