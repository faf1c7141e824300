# The Node.js server of compose.yaml. The build context is this folder.
FROM node:22-slim
WORKDIR /server
COPY node/package.json node/package-lock.json ./
RUN npm ci
COPY node/server.mjs ./
USER node
# Not through a shell or npm: SIGTERM must reach the server.
CMD ["node", "server.mjs", "0.0.0.0:3000"]
