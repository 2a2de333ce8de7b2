/* The I/O thread's loop: an eventfd announces jobs, epoll the rest. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/host/io_thread.h"

#define NS_PER_S UINT64_C(1000000000)

struct dev_io {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct dev_io_job *head, **tail; /* under lock, as are busy and stop */
    bool busy;                       /* jobs taken off the list are running */
    bool stop;
    int epoll_fd;
    int wake_fd;
};

static void run_jobs(struct dev_io *io)
{
    pthread_mutex_lock(&io->lock);
    while (io->head) {
        struct dev_io_job *job = io->head;
        io->head = NULL;
        io->tail = &io->head;
        io->busy = true;
        pthread_mutex_unlock(&io->lock);
        while (job) {
            struct dev_io_job *next = job->next; /* run() may hand the job back to its device */
            job->run(job);
            job = next;
        }
        pthread_mutex_lock(&io->lock);
        io->busy = false;
    }
    pthread_cond_broadcast(&io->idle);
    pthread_mutex_unlock(&io->lock);
}

static bool must_stop(struct dev_io *io)
{
    bool stop;
    pthread_mutex_lock(&io->lock);
    stop = io->stop && !io->head;
    pthread_mutex_unlock(&io->lock);
    return stop;
}

static void *io_main(void *context)
{
    struct dev_io *io = context;
    struct epoll_event ev[8];
    while (!must_stop(io)) {
        int n = epoll_wait(io->epoll_fd, ev, 8, -1);
        for (int i = 0; i < n; i++) {
            struct dev_io_watch *w = ev[i].data.ptr;
            if (w) {
                w->ready(w->context, ev[i].events);
            } else {
                uint64_t count;
                while (read(io->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
                    ;
                run_jobs(io);
            }
        }
    }
    return NULL;
}

static void wake(struct dev_io *io)
{
    uint64_t one = 1;
    while (write(io->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Signals are the main thread's: this one starts with all of them blocked. */
static int start_thread(struct dev_io *io)
{
    sigset_t all, old;
    int e;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&io->thread, NULL, io_main, io);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e;
}

static void init_sync(struct dev_io *io)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&io->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&io->idle, &attr);
    pthread_condattr_destroy(&attr);
}

enum gw_status dev_io_new(struct dev_io **out, struct gw_error *err)
{
    struct dev_io *io = calloc(1, sizeof *io);
    struct epoll_event ev = {.events = EPOLLIN};
    int e;
    *out = NULL;
    if (!io)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the I/O thread");
    init_sync(io);
    io->tail = &io->head;
    io->wake_fd = eventfd(0, EFD_CLOEXEC);
    io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (io->wake_fd < 0 || io->epoll_fd < 0 ||
        epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, io->wake_fd, &ev) < 0)
        e = errno;
    else
        e = start_thread(io);
    if (e) {
        close(io->wake_fd);
        close(io->epoll_fd);
        free(io);
        return gw_fail(err, GW_ERR_IO, "", "cannot start the I/O thread: %s", strerror(e));
    }
    *out = io;
    return GW_OK;
}

void dev_io_free(struct dev_io *io)
{
    if (!io)
        return;
    pthread_mutex_lock(&io->lock);
    io->stop = true;
    pthread_mutex_unlock(&io->lock);
    wake(io);
    pthread_join(io->thread, NULL);
    close(io->epoll_fd);
    close(io->wake_fd);
    pthread_cond_destroy(&io->idle);
    pthread_mutex_destroy(&io->lock);
    free(io);
}

void dev_io_submit(struct dev_io *io, struct dev_io_job *job)
{
    bool first;
    job->next = NULL;
    pthread_mutex_lock(&io->lock);
    first = !io->head;
    *io->tail = job;
    io->tail = &job->next;
    pthread_mutex_unlock(&io->lock);
    if (first)
        wake(io);
}

void dev_io_drain(struct dev_io *io)
{
    pthread_mutex_lock(&io->lock);
    while (io->head || io->busy)
        pthread_cond_wait(&io->idle, &io->lock);
    pthread_mutex_unlock(&io->lock);
}

bool dev_io_wait(struct dev_io *io, uint64_t ns)
{
    struct timespec until;
    bool idle;
    int e = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    pthread_mutex_lock(&io->lock);
    while ((io->head || io->busy) && !e)
        e = pthread_cond_timedwait(&io->idle, &io->lock, &until);
    idle = !io->head && !io->busy;
    pthread_mutex_unlock(&io->lock);
    return idle;
}

/* A descriptor that nothing is asked of is not in the set: epoll reports hang-ups unasked. */
void dev_io_rewatch(struct dev_io *io, struct dev_io_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (events == 0)
        epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    else if (epoll_ctl(io->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0 && errno == ENOENT)
        epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev);
}

enum gw_status dev_io_watch(struct dev_io *io, struct dev_io_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0)
        return errno == EPERM ? GW_ERR_UNSUPPORTED : GW_ERR_IO;
    if (events == 0)
        dev_io_rewatch(io, w, 0);
    return GW_OK;
}
