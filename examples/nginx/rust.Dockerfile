# The Rust server of compose.yaml. The build context is the repository.
FROM rust:1-slim-bookworm AS build
WORKDIR /repository
COPY . .
# The caches keep what the last build compiled.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/repository/target \
    cargo build --release --locked --package socketio-pg-examples --bin graceful \
    && cp target/release/graceful /graceful

# The same Debian as above: the program needs its C library.
FROM debian:bookworm-slim
COPY --from=build /graceful /graceful
USER nobody
# Not through a shell: SIGTERM must reach the server.
CMD ["/graceful", "0.0.0.0:3000"]
