/* Preloaded into a member, it sets its clock off by CLOCK_OFF_MS milliseconds, as on a host whose clock is wrong. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long long off_ns(void) {
    const char *off = getenv("CLOCK_OFF_MS");
    return off ? atoll(off) * 1000000 : 0;
}

static void shift(time_t *seconds, long long *ns) {
    long long sum = *seconds * 1000000000LL + *ns + off_ns();
    *seconds = sum / 1000000000;
    *ns = sum % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) {
        long long ns = now->tv_nsec;
        shift(&now->tv_sec, &ns);
        now->tv_nsec = ns;
    }
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    long long ns = now->tv_usec * 1000LL;
    shift(&now->tv_sec, &ns);
    now->tv_usec = ns / 1000;
    return result;
}
