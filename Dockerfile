# The image for people without Rust: `docker build .`. The package for Orbit is made by
# build_spx.sh, which needs no image of anybody; a test holds that both give the same.
ARG BUILDER=rust:1.95-alpine

FROM --platform=linux/amd64 ${BUILDER} AS build
# `sim` adds the simulator, for the target `demo`.
ARG FEATURES=
WORKDIR /src
COPY . .
RUN cargo build --profile ship --locked --no-default-features --features "$FEATURES" \
        --target x86_64-unknown-linux-musl --bin orbit-relay \
        --config "target.x86_64-unknown-linux-musl.rustflags=['--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo']" \
    && mkdir -p /image \
    && cp "${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-musl/ship/orbit-relay" /image/ \
    && mkdir -m 0700 /image/data

FROM scratch AS image
COPY --from=build /image/orbit-relay /orbit-relay
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
ENV DATA_DIR=/data CONFIG_DIR=/config OPS_BIND=0.0.0.0:22101
EXPOSE 21600 22101
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/orbit-relay", "health"]
LABEL org.opencontainers.image.title="orbit-relay" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/orbit-relay"]

FROM image AS demo
# The demo makes a directory for its time.
ENV TMPDIR=/data
HEALTHCHECK NONE
CMD ["demo"]

FROM image AS relay
