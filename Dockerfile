# The kit in an image: an organiser's copy that holds no data and no results; both are mounted.
#   docker build -t data-centric-kit .
#   docker run --rm -v "$PWD/my_submission:/submission:ro" -v "$PWD/results:/kit/results" data-centric-kit --submission /submission
# docs/organisers.md says the rest, and what the container does and does not protect.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

# The isolation tier `docker` takes an image of its own version of the kit only, and knows it by this label. A test holds it to
# `__version__` in evaluator/__init__.py, so that `docker build` needs no argument for it.
LABEL org.opencontainers.image.version="0.3.0"

# cpu: torch's CPU build, from PyTorch's own index. default: the build with CUDA, as the lock file names it.
# present: the base image holds the packages already; nothing is installed, and no package index is needed.
ARG TORCH=default

WORKDIR /kit

COPY apt.txt ./
RUN packages=$(echo $(grep -oE '^[^#]+' apt.txt)) \
 && if [ -n "$packages" ]; then \
      export DEBIAN_FRONTEND=noninteractive && apt-get update \
      && apt-get install -y --no-install-recommends $packages && rm -rf /var/lib/apt/lists/*; \
    fi

# The requirements first, so that a change of code does not install them again.
COPY requirements.lock ./
RUN if [ "$TORCH" = present ]; then exec python -c 'import numpy'; fi \
 && if [ "$TORCH" = cpu ]; then \
      pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu \
        $(grep -E '^(torch|torchvision)==' requirements.lock) \
      && grep -vE '^(nvidia-|cuda-|triton=)' requirements.lock > /tmp/needed.txt; \
    else cp requirements.lock /tmp/needed.txt; fi \
 && pip install --no-cache-dir -r /tmp/needed.txt && rm /tmp/needed.txt

# Number 1000 is most people's own number on their machine, so that mounted results belong to them.
RUN useradd --uid 1000 --create-home evaluator && mkdir -p data results && chown evaluator data results
COPY evaluator evaluator
COPY my_submission my_submission
COPY run.py local_evaluation.py aicrowd.json LICENSE ./
COPY data/README.md data/README.md

USER evaluator
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "local_evaluation.py"]
CMD ["--profile", "quick"]
