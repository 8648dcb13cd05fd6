# One image for every service and for `up`: a static binary and nothing else.
# Works with BuildKit and without.
ARG RUST_IMAGE=rust:1.95-slim-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /src
RUN command -v cmake >/dev/null && command -v c++ >/dev/null && command -v make >/dev/null && command -v perl >/dev/null \
 || (apt-get update && apt-get install -y --no-install-recommends cmake g++ make perl && rm -rf /var/lib/apt/lists/*)
ENV RUSTFLAGS="-C target-feature=+crt-static"

# Dependencies first, from the manifests alone: this layer stays until one of them changes.
COPY Cargo.toml Cargo.lock ./
COPY events/contract/Cargo.toml events/contract/
COPY events/log/Cargo.toml events/log/
COPY events/calendar/Cargo.toml events/calendar/
COPY identity/policy/Cargo.toml identity/policy/
COPY identity/service/Cargo.toml identity/service/
COPY broker/Cargo.toml broker/
COPY command-services/runtime/Cargo.toml command-services/runtime/
COPY command-services/production/Cargo.toml command-services/production/
COPY command-services/after-service/Cargo.toml command-services/after-service/
COPY command-services/devices/Cargo.toml command-services/devices/
COPY command-services/known/Cargo.toml command-services/known/
COPY command-services/processes/Cargo.toml command-services/processes/
COPY projection-services/runtime/Cargo.toml projection-services/runtime/
COPY projection-services/figures/Cargo.toml projection-services/figures/
COPY projection-services/common/Cargo.toml projection-services/common/
COPY projection-services/production/Cargo.toml projection-services/production/
COPY projection-services/after-service/Cargo.toml projection-services/after-service/
COPY projection-services/query-api/Cargo.toml projection-services/query-api/
COPY millwright/Cargo.toml millwright/
COPY tests/Cargo.toml tests/
RUN for m in $(find . -mindepth 2 -name Cargo.toml); do mkdir -p "$(dirname "$m")/src" && touch "$(dirname "$m")/src/lib.rs"; done \
 && rm millwright/src/lib.rs && echo 'fn main() {}' > millwright/src/main.rs \
 && cargo build --locked --profile dist -p millwright --target "$(rustc --print host-tuple)"

COPY . .
# Newer than the stand-ins of the layer before, whatever the clock of the context says.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && cargo build --locked --profile dist -p millwright --target "$(rustc --print host-tuple)" \
 && mkdir -p /out/data /out/views /out/tmp \
 && cp "target/$(rustc --print host-tuple)/dist/millwright" /out/millwright

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millwright" \
      org.opencontainers.image.description="Work orders and repair tickets over MQTT, in an event log that can be replayed and proved" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/millwright /millwright
# A named volume takes its owner from the directory that it is first mounted on.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/views /views
COPY --from=build --chown=65532:65532 /out/tmp /tmp
ENV MILLWRIGHT_DATA=/data \
    MILLWRIGHT_OPS=0.0.0.0:9464 \
    MILLWRIGHT_LOG_FORMAT=json
USER 65532:65532
EXPOSE 8883 8443 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/millwright", "health"]
ENTRYPOINT ["/millwright"]
CMD ["up"]
