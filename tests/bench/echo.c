/* The least a server can do: `echo PORT` answers each request with as many bytes as it asks for.
   Request: u32 length of what follows, u32 bytes wanted back, u64 id, any bytes.
   Answer: u32 length of what follows, u64 id, bytes. Integers little-endian; many requests may come at once. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HEAD = 16, ANSWER = 12, ROOM = 1 << 20, MOST = 64 };

struct client {
    int socket;
    size_t held, made, sent, room;
    unsigned char in[ROOM];
    unsigned char *out;
};

static void grow(struct client *c, size_t more) {
    while (c->room < c->made + more) c->room = c->room ? c->room * 2 : ROOM;
    c->out = realloc(c->out, c->room);
    if (!c->out) exit(1);
}

/* Answers every whole request; -1 for one that can never be whole. */
static int answer_all(struct client *c) {
    size_t at = 0;
    while (c->held - at >= HEAD) {
        uint32_t length, wanted;
        memcpy(&length, c->in + at, 4);
        memcpy(&wanted, c->in + at + 4, 4);
        if (length < HEAD - 4 || length > ROOM - 4 || wanted > ROOM) return -1;
        if (c->held - at < length + 4) break;
        grow(c, ANSWER + wanted);
        uint32_t follows = 8 + wanted;
        memcpy(c->out + c->made, &follows, 4);
        memcpy(c->out + c->made + 4, c->in + at + 8, 8);
        memset(c->out + c->made + ANSWER, 'x', wanted);
        c->made += ANSWER + wanted;
        at += length + 4;
    }
    memmove(c->in, c->in + at, c->held -= at);
    return 0;
}

/* Reads, answers and writes as far as it goes without waiting; -1 when the client is done. */
static int serve(int poll, struct client *c) {
    for (;;) {
        if (c->sent == c->made) {
            c->sent = c->made = 0;
            ssize_t got = recv(c->socket, c->in + c->held, ROOM - c->held, MSG_DONTWAIT);
            if (got == 0) return -1;
            if (got < 0) break;
            c->held += got;
            if (answer_all(c) < 0) return -1;
        }
        if (c->sent == c->made) continue;
        ssize_t put = send(c->socket, c->out + c->sent, c->made - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0) break;
        c->sent += put;
    }
    struct epoll_event on = {.events = c->sent < c->made ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    return epoll_ctl(poll, EPOLL_CTL_MOD, c->socket, &on);
}

int main(int count, char **words) {
    if (count != 2) return 2;
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&where, sizeof where) || listen(listening, 128)) return perror("echo"), 1;
    struct epoll_event on = {.events = EPOLLIN, .data.ptr = NULL}, ready[MOST];
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &on);
    for (;;) {
        int found = epoll_wait(poll, ready, MOST, -1);
        for (int i = 0; i < found; i++) {
            struct client *c = ready[i].data.ptr;
            if (!c) {
                c = calloc(1, sizeof *c);
                if (!c || (c->socket = accept(listening, NULL, NULL)) < 0) return perror("echo"), 1;
                setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                on.data.ptr = c;
                epoll_ctl(poll, EPOLL_CTL_ADD, c->socket, &on);
            } else if (serve(poll, c) < 0) {
                close(c->socket);
                free(c->out);
                free(c);
            }
        }
    }
}
