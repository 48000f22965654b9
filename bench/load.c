/* The clients of the registry benchmark: threads that ask as fast as they are answered, and cost as little as possible.
 *
 *     load get  PORT AUTHORIZATION CONNECTIONS SECONDS PATH     each connection asks for PATH again and again
 *     load pull PORT AUTHORIZATION CLIENTS PATH...              each client, on a new connection, asks for every PATH once
 *     load push PORT AUTHORIZATION UPLOADS(/v2/NAME/blobs/uploads/) FILE DIGEST...    every file at once: POST, then PUT
 *
 * Bodies are counted and thrown away in the kernel (MSG_TRUNC), files are sent from the page cache (sendfile): what is measured
 * is the server. One line of JSON comes out; `failed` counts answers that were not 200 or 201, or that broke off.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD 16384
#define MOST_THREADS 4096

static int port;
static const char *authorization;
static char **paths;
static int path_count;
static const char *uploads;
static double ends_at; /* 0: each path once */

struct answer {
    int status;
    long long length;
    char location[4096];
};

struct client {
    pthread_t thread;
    char **given; /* what a push sends: a file and its digest */
    long long bytes, requests, failed;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 120};
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int send_all(int fd, const char *text, size_t length) {
    while (length) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        text += sent, length -= sent;
    }
    return 0;
}

/* Reads a head, and throws the body away. */
static int receive(int fd, struct answer *answer, long long *bytes) {
    char head[HEAD + 1], *end = NULL;
    size_t have = 0;
    memset(answer, 0, sizeof *answer);
    while (!end) {
        ssize_t got = have < HEAD ? recv(fd, head + have, HEAD - have, 0) : 0;
        if (got <= 0) return -1;
        have += got;
        head[have] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    answer->status = atoi(head + 9);
    for (char *line = head; line && line < end; line = strstr(line, "\r\n")) {
        if (line != head) line += 2;
        if (!strncasecmp(line, "content-length:", 15)) answer->length = atoll(line + 15);
        if (!strncasecmp(line, "location:", 9)) sscanf(line + 9, " %4095[^\r]", answer->location);
        if (line == head) line += 1;
    }
    long long left = answer->length - (long long)(have - (end + 4 - head));
    while (left > 0) {
        ssize_t got = recv(fd, NULL, left > (1 << 20) ? 1 << 20 : left, MSG_TRUNC);
        if (got <= 0) return -1;
        left -= got;
    }
    *bytes += answer->length;
    return 0;
}

static int get(int fd, const char *path, struct client *self) {
    char head[HEAD];
    struct answer answer;
    int length = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nAccept: application/vnd.oci.image.manifest.v1+json, */*\r\n%s%s\r\n\r\n",
                          path, port, *authorization ? "Authorization: " : "X-None: ", authorization);
    if (send_all(fd, head, length) < 0 || receive(fd, &answer, &self->bytes) < 0) return -1;
    self->requests++;
    if (answer.status != 200) self->failed++;
    return 0;
}

static void *pulls(void *given) {
    struct client *self = given;
    int fd = connected();
    if (fd < 0) {
        self->failed++;
        return NULL;
    }
    do {
        for (int at = 0; at < path_count; at++)
            if (get(fd, paths[at], self) < 0) {
                self->failed++;
                close(fd);
                return NULL;
            }
    } while (now() < ends_at);
    close(fd);
    return NULL;
}

static int push(int fd, struct client *self) {
    const char *file = self->given[0], *digest = self->given[1], *credentials = *authorization ? "Authorization: " : "X-None: ";
    char head[HEAD];
    struct answer answer;
    struct stat status;
    long long ignored = 0;
    int source = open(file, O_RDONLY);
    if (source < 0 || fstat(source, &status) < 0) return -1;
    int length = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n%s%s\r\n\r\n", uploads, port,
                          credentials, authorization);
    if (send_all(fd, head, length) < 0 || receive(fd, &answer, &ignored) < 0 || answer.status != 202) return -1;
    char *path = strstr(answer.location, "/v2/");
    if (!path) return -1;
    length = snprintf(head, sizeof head,
                      "PUT %s%cdigest=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/octet-stream\r\n"
                      "Content-Length: %lld\r\n%s%s\r\n\r\n",
                      path, strchr(path, '?') ? '&' : '?', digest, port, (long long)status.st_size, credentials, authorization);
    if (send_all(fd, head, length) < 0) return -1;
    for (off_t at = 0; at < status.st_size;)
        if (sendfile(fd, source, &at, status.st_size - at) <= 0) return -1;
    close(source);
    if (receive(fd, &answer, &ignored) < 0 || answer.status != 201) return -1;
    self->bytes += status.st_size;
    self->requests++;
    return 0;
}

static void *pushes(void *given) {
    struct client *self = given;
    int fd = connected();
    if (fd < 0 || push(fd, self) < 0) self->failed++;
    if (fd >= 0) close(fd);
    return NULL;
}

int main(int count, char **given) {
    static struct client clients[MOST_THREADS];
    int threads = 0;
    if (count < 6) return 2;
    port = atoi(given[2]);
    authorization = given[3];
    void *(*work)(void *) = pulls;
    if (!strcmp(given[1], "get") && count == 7) {
        threads = atoi(given[4]), paths = given + 6, path_count = 1;
    } else if (!strcmp(given[1], "pull")) {
        threads = atoi(given[4]), paths = given + 5, path_count = count - 5;
    } else if (!strcmp(given[1], "push")) {
        work = pushes, uploads = given[4], threads = (count - 5) / 2;
    }
    if (threads < 1 || threads > MOST_THREADS) return 2;
    double begun = now();
    if (!strcmp(given[1], "get")) ends_at = begun + atof(given[5]);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    for (int at = 0; at < threads; at++) {
        if (work == pushes) clients[at].given = given + 5 + 2 * at;
        if (pthread_create(&clients[at].thread, &small, work, &clients[at])) return 3;
    }
    long long bytes = 0, requests = 0, failed = 0;
    for (int at = 0; at < threads; at++) {
        pthread_join(clients[at].thread, NULL);
        bytes += clients[at].bytes, requests += clients[at].requests, failed += clients[at].failed;
    }
    printf("{\"bytes\": %lld, \"requests\": %lld, \"failed\": %lld, \"seconds\": %.6f}\n", bytes, requests, failed, now() - begun);
    return 0;
}
