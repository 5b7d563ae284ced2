# One image for every process; which one it is, the command says. Nothing is built: Node 24 runs the sources.
# The tag is exact; pin the content too with --build-arg NODE_IMAGE=node:24.21.0-slim@sha256:...
ARG NODE_IMAGE=node:24.21.0-slim
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Scripts stay off: the only one we allow fetches Node for development machines, and the image has its own.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
WORKDIR /app
# Owned by root and run by node: a process cannot change its own code.
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY src src
COPY workers workers
COPY relay relay
ENV NODE_ENV=production PROBE_PORT=9090
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PROBE_PORT + '/readyz').then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: SIGTERM reaches the process, which drains.
CMD ["node", "workers/main.ts"]
