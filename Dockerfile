# m3kit serve. The model is loaded at the start, from the volume or the Hugging Face hub.
#
#   docker build -t m3kit .
#   docker run -p 127.0.0.1:8080:8080 -e M3KIT_API_KEY -v m3kit-models:/models m3kit
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
COPY integrations ./integrations
RUN python -m venv /opt/m3kit \
    && /opt/m3kit/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        ".[serve,torch,cli,qdrant,milvus,vespa]"

FROM python:3.12-slim-bookworm
RUN useradd --create-home --uid 10001 m3kit \
    && mkdir /models \
    && chown m3kit /models
COPY --from=build /opt/m3kit /opt/m3kit
ENV PATH=/opt/m3kit/bin:$PATH \
    HF_HOME=/models \
    M3KIT_MODEL=BAAI/bge-m3 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
VOLUME /models
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=4)"]
ENTRYPOINT ["m3kit", "serve", "--host", "0.0.0.0", "--port", "8080"]
