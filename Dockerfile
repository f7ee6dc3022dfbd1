# sigward in a container. See docs/operating.md, "In a container", before stake depends on it.
#
#   docker build -t sigward .
#   docker run --rm -v sigward:/var/lib/sigward --ulimit memlock=16777216 sigward init

# The release that rust-toolchain.toml pins (keep them in step), on the Debian of the runtime: the binary is linked to that glibc.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# There is no repository in here: `--build-arg SIGWARD_COMMIT=$(git rev-parse --short=12 HEAD)` says what is built.
ARG SIGWARD_COMMIT=unknown
ENV SIGWARD_COMMIT=$SIGWARD_COMMIT
# SQLite is compiled in; the image has the C compiler for it. Versions are those of Cargo.lock.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin sigward \
    && install -D -m 0755 target/release/sigward /out/usr/local/bin/sigward \
    && install -d -m 0700 /out/var/lib/sigward

# glibc and nothing that sigward needs besides: no package is added, so none has to be followed.
FROM debian:bookworm-slim
# A number and not a name: orchestrators check that it is not root, and the user needs no entry, shell or home.
COPY --from=build --chown=0:0 /out/usr/local/bin/sigward /usr/local/bin/sigward
COPY --from=build --chown=10001:10001 /out/var/lib/sigward /var/lib/sigward
USER 10001:10001
ENV SIGWARD_HOME=/var/lib/sigward
# State on the image's own overlay would be forgotten; sigward refuses it there. One container a volume, ever.
VOLUME ["/var/lib/sigward"]
WORKDIR /var/lib/sigward
# SIGTERM finishes what is under way: seconds at most.
STOPSIGNAL SIGTERM
# None: /livez and /readyz are on the container's loopback, this image has no HTTP client, and a check that restarts a signer
# because a node is down does harm.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/sigward"]
CMD ["serve"]
