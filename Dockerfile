# docker build -t hdetr_d2 .
# docker build -t hdetr_d2:cuda --target cuda .
# docker run --rm -v "$PWD:/data" hdetr_d2 train --config-file custom/deformable_detr_coco_json_offline.py --data pets/ train.output_dir=out
# With a GPU add --gpus all, and --shm-size 8g for the workers of the data loader.

FROM python:3.12-slim-bookworm AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "torch>=2.10" "setuptools>=77" wheel
WORKDIR /opt/hdetr_d2
COPY . .

# The kernels are compiled with an nvcc from PyPI, for the GPUs that are named, and without one: only the driver is the host's.
FROM base AS cuda
ARG TORCH_CUDA_ARCH_LIST="8.0;8.6;8.9;9.0+PTX"
RUN pip install --no-cache-dir "cuda-toolkit[nvcc,cccl]==13.*" \
    && FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation ".[export,offline]"
WORKDIR /data
ENTRYPOINT ["hdetr-d2"]
CMD ["--help"]

FROM base AS cpu
RUN HDETR_D2_FORCE_EXT=1 pip install --no-cache-dir --no-build-isolation ".[export,offline]"
WORKDIR /data
ENTRYPOINT ["hdetr-d2"]
CMD ["--help"]
