FROM python:3.11-slim-bookworm

# --user is the owner of the mounted folder, of whom the image knows nothing: neither a home nor a name.
ENV HOME=/tmp \
    USER=reader \
    LOGNAME=reader \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /src
# The dependencies are a layer of their own, built again only when they change: the package stands in as its version.
COPY constraints.txt setup.cfg pyproject.toml README.md LICENSE ./
COPY neanderthal_nlp/__init__.py neanderthal_nlp/
RUN pip install --no-cache-dir --constraint constraints.txt .
COPY neanderthal_nlp neanderthal_nlp
RUN pip install --no-cache-dir --no-deps --force-reinstall . && rm -rf build

RUN useradd --no-create-home --uid 1000 reader
USER 1000
WORKDIR /data
ENTRYPOINT ["python", "-m", "neanderthal_nlp.reproduce"]
CMD ["--help"]
