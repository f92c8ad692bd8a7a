# What stages need of a system, for the tests: Python and FluidSynth. The Python packages, some gigabytes, come from
# read-only volumes of this machine instead.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && apt-get install --yes -qq --no-install-recommends \
        fluidsynth libgomp1 libsndfile1 python3 timgm6mb-soundfont >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
