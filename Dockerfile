# sigward in a container: one program, the libraries it is linked to, an empty home, and nothing else. See docs/install.md, "In a
# container", before stake depends on it.
#
#   docker build -t sigward .                                                   builds everything inside
#   scripts/image.sh build target/release/sigward                               the same image from a binary that is there: buildah,
#                                                                               no daemon and no registry
#   docker run --rm -v sigward:/var/lib/sigward --ulimit memlock=16777216 sigward init

# Where the file system of the image comes from: a build stage here, or scripts/image.sh outside.
ARG ROOTFS=build

# The release that rust-toolchain.toml pins (keep them in step). The binary is linked to this Debian's glibc, which goes with it.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# There is no repository in here: `--build-arg SIGWARD_COMMIT=$(git rev-parse --short=12 HEAD)` says what is built.
ARG SIGWARD_COMMIT=unknown
ENV SIGWARD_COMMIT=$SIGWARD_COMMIT
# SQLite is compiled in; the image has the C compiler for it. Versions are those of Cargo.lock.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo" \
    cargo build --release --locked --bin sigward \
    && scripts/image.sh rootfs target/release/sigward /rootfs

FROM scratch AS prebuilt
COPY target/image/rootfs/ /rootfs/

FROM ${ROOTFS} AS rootfs

# No shell, no package, no other program: nothing to follow, and nothing for an intruder to use.
FROM scratch
COPY --from=rootfs --chown=0:0 /rootfs/ /
COPY --from=rootfs --chown=10001:10001 --chmod=0700 /rootfs/var/lib/sigward /var/lib/sigward
# A number and not a name: orchestrators check that it is not root, and the user needs no entry, shell or home.
USER 10001:10001
ENV SIGWARD_HOME=/var/lib/sigward
# State on the image's own overlay would be forgotten; sigward refuses it there. One container a volume, ever.
VOLUME ["/var/lib/sigward"]
WORKDIR /var/lib/sigward
# SIGTERM finishes what is under way: seconds at most.
STOPSIGNAL SIGTERM
# /livez and /readyz are on the container's loopback, this image has no HTTP client, and a check that restarts a signer because a
# node is down does harm: there is no HEALTHCHECK.
ENTRYPOINT ["/usr/local/bin/sigward"]
CMD ["serve"]
