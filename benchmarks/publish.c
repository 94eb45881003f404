/* A load source: publishes sensor readings to an MQTT broker at QoS 1 and ends by itself.
 *
 *   publish PORT COUNT RATE TABLES [WINDOW]
 *
 * Topics are bench/T/device with T from 0 to TABLES - 1, in turn. RATE is messages per second, 0 for
 * as fast as the broker takes them. At most WINDOW messages (default 2000) have no PUBACK. Prints
 * the seconds from the first byte to the last PUBACK. Loopback only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 18, IN_MAX = 1 << 16 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int dial(int port) {
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a)) fail("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  unsigned char hello[] = {0x10, 17, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 5, 'b', 'e', 'n', 'c', 'h'};
  if (write(s, hello, sizeof hello) != (ssize_t)sizeof hello) fail("write");
  unsigned char answer[4];
  if (recv(s, answer, 4, MSG_WAITALL) != 4 || answer[3]) fail("connack");
  return s;
}

static size_t frame(unsigned char *out, long number, int tables) {
  char topic[64], payload[128];
  int t = snprintf(topic, sizeof topic, "bench/%ld/device", number % tables);
  int p = snprintf(payload, sizeof payload,
                   "{\"device_name\": \"sensor-%06ld\", \"temp\": %ld, \"humidity\": %ld, \"description\": \"Main entrance\"}",
                   number % 1000, number % 50, number);
  int rest = 2 + t + 2 + p;
  size_t n = 0;
  out[n++] = 0x32;
  for (int v = rest; v || n == 1; v >>= 7) out[n++] = (unsigned char)(v > 127 ? (v & 127) | 128 : v);
  out[n++] = (unsigned char)(t >> 8);
  out[n++] = (unsigned char)t;
  memcpy(out + n, topic, (size_t)t);
  n += (size_t)t;
  unsigned id = (unsigned)(number % 65535) + 1;
  out[n++] = (unsigned char)(id >> 8);
  out[n++] = (unsigned char)id;
  memcpy(out + n, payload, (size_t)p);
  return n + (size_t)p;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: publish PORT COUNT RATE TABLES [WINDOW]\n");
    return 2;
  }
  long count = atol(argv[2]), window = argc > 5 ? atol(argv[5]) : 2000;
  double rate = atof(argv[3]);
  int tables = atoi(argv[4]), s = dial(atoi(argv[1]));
  static unsigned char out[OUT_MAX], in[IN_MAX];
  size_t filled = 0, written = 0, spare = 0;
  long made = 0, acked = 0;
  double start = now();
  while (acked < count) {
    long allowed = rate > 0 ? (long)((now() - start) * rate) : count;
    if (written == filled) written = filled = 0;
    while (made < count && made < allowed && made - acked < window && filled + 256 < OUT_MAX)
      filled += frame(out + filled, made++, tables);
    struct pollfd p = {.fd = s, .events = (short)(POLLIN | (written < filled ? POLLOUT : 0))};
    if (poll(&p, 1, rate > 0 ? 1 : 1000) < 0) fail("poll");
    if (p.revents & POLLOUT) {
      ssize_t n = send(s, out + written, filled - written, MSG_DONTWAIT);
      if (n > 0) written += (size_t)n;
      else if (n < 0 && errno != EAGAIN) fail("send");
    }
    if (p.revents & POLLIN) {
      ssize_t n = recv(s, in, IN_MAX, MSG_DONTWAIT);
      if (n == 0) fail("closed");
      if (n > 0) {
        spare += (size_t)n;
        acked += (long)(spare / 4);
        spare %= 4;
      }
    }
  }
  printf("%.6f\n", now() - start);
  return close(s);
}
