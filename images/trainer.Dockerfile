# The trainer: FluidSynth, the packages at the versions that requirements/all.txt pins by hash, and the project's code.
#   docker build --file images/trainer.Dockerfile --tag mtj-trainer .
#   docker build --file images/trainer.Dockerfile --tag mtj-trainer:cpu --build-arg ACCELERATOR=cpu .
# It runs without root and with a read-only root file system, where HOME and TMPDIR name folders that it may write to. A
# base needs Debian's or Ubuntu's apt-get, and Python 3.11 as python3 where it is another one's than the system's.
# CUDA's libraries come with PyTorch, so the base needs none; the driver comes from the node.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# What stages need of a system. The tests' cluster runs this alone, with the rest from its machine.
FROM ${BASE_IMAGE} AS system
RUN apt-get update -qq \
    && apt-get install --yes -qq --no-install-recommends \
        fluidsynth libgomp1 libsndfile1 timgm6mb-soundfont $(command -v python3 >/dev/null || echo python3) >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt
ENV USER=mtj PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532

FROM ${BASE_IMAGE} AS packages
# cuda, or cpu: PyTorch as its own index has it for processors alone, a tenth of the size.
ARG ACCELERATOR=cuda
COPY images/install-uv requirements/uv.txt /build/
RUN /build/install-uv
COPY images/install-trainer pyproject.toml requirements/all.txt /build/
RUN /build/install-trainer "${ACCELERATOR}"

FROM system
# What is large and seldom changes has layers of its own.
COPY --from=packages /opt/mtj/accelerator /opt/mtj/packages
COPY --from=packages /opt/mtj/packages /opt/mtj/packages
COPY images/mtj /usr/local/bin/mtj
COPY operator/mtj_api /opt/mtj/operator/mtj_api
COPY operator/mtj_operator /opt/mtj/operator/mtj_operator
COPY trainer/mtj_trainer /opt/mtj/trainer/mtj_trainer
USER root
RUN python3 -m compileall -q /opt/mtj/operator /opt/mtj/trainer
USER 65532:65532
ENV PYTHONPATH=/opt/mtj/operator:/opt/mtj/trainer:/opt/mtj/packages
CMD ["mtj", "--help"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mtj-trainer" \
      org.opencontainers.image.description="The stages of a MusicTrainingJob: prepare, train, evaluate, report, publish" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
