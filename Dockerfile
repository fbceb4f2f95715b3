# Sidetone: built with the pinned Rust, run on Debian slim. `docker build -t sidetone .`
FROM rust:1.94-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The image's toolchain is the pinned one: do not fetch another.
RUN rm -f rust-toolchain.toml && cargo build --release --locked

FROM debian:bookworm-slim
# curl: for the health check. libgomp1: CTranslate2's threads.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libgomp1 libstdc++6 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/sidetone --create-home sidetone \
    && install -d -o sidetone -g sidetone /prompts /etc/sidetone
COPY --from=build /src/target/release/sidetone /usr/local/bin/sidetone
COPY --from=build /src/scenarios /usr/share/sidetone/scenarios
COPY --from=build /src/dialplans /usr/share/sidetone/dialplans
USER sidetone
# Scenarios are named from here (scenarios/NAME.yaml).
WORKDIR /usr/share/sidetone
ENV SIDETONE_CONFIG=/etc/sidetone/sidetone.toml
EXPOSE 8090
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s CMD ["curl", "-fsS", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["tini", "--", "sidetone"]
CMD ["serve"]
