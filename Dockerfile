# syntax=docker/dockerfile:1
#
#   docker build -t doorward .
#   docker run --rm -p 9191:9191 -v "$PWD/policies/quickstart:/policies:ro" doorward serve /policies

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /src

# Dependencies first, in a layer of their own that a change of Doorward's code does not touch: the real
# manifests and the generated protocol, with nothing behind the crate's own targets.
COPY Cargo.toml Cargo.lock ./
COPY proto proto
RUN mkdir src tests \
    && touch src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs tests/main.rs >/dev/null \
    && cargo build --release --locked --bin doorward

COPY src src
# Copied files keep their old times, and cargo would take the empty crate for the newer one.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin doorward

# The runtime image has no shell to make a folder with.
RUN mkdir /data


# Same Debian release as the builder, hence the same glibc; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /src/target/release/doorward /usr/local/bin/doorward
COPY --from=builder --chown=65532:65532 /data /var/lib/doorward

# By number: Kubernetes' runAsNonRoot cannot look up names.
USER 65532:65532
# `data_dir` is ./data unless configured, so what Doorward keeps lands in this volume.
WORKDIR /var/lib/doorward
VOLUME /var/lib/doorward

# Loopback inside a container is out of Envoy's reach. The management API stays on loopback on purpose: on
# any other address it asks for tokens and for `allow_plaintext`, see docs/configuration.md.
ENV DOORWARD__EXT_AUTHZ__LISTEN=0.0.0.0:9191

EXPOSE 9191 8181
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/doorward", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/doorward"]
CMD ["serve"]
