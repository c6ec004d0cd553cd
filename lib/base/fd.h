/* base/fd.h - file descriptors with one owner, and waiting for them with a deadline. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Closes *FD unless it is negative, sets it to -1 and keeps errno. */
void
ireko_fd_close(int *fd);

/* The value of *FD, which becomes -1: the caller owns it from here. */
int
ireko_fd_steal(int *fd);

#define IREKO_AUTOFD __attribute__((cleanup(ireko_fd_close))) int

/* A point in time on CLOCK_MONOTONIC, in microseconds (g_get_monotonic_time). */
typedef int64_t IrekoDeadline;
#define IREKO_NO_DEADLINE INT64_MAX

IrekoDeadline
ireko_deadline_in_ms(int64_t milliseconds);

/* Waits until FD is ready for EVENTS (poll(2); POLLHUP and POLLERR count as ready), CANCEL_FD (-1:
 * none) is readable, or DEADLINE passes. Returns true when FD is ready; else false with
 * IREKO_ERROR_CANCELLED or IREKO_ERROR_TIMEOUT. */
bool
ireko_fd_wait(int fd, short events, IrekoDeadline deadline, int cancel_fd, GError **error);

/* Writes all LEN bytes to FD, blocking or not, by DEADLINE. */
bool
ireko_fd_write_all(
    int fd, const void *data, size_t len, IrekoDeadline deadline, int cancel_fd, GError **error);

/* Sends PASSED along the unix stream socket FD, on a byte (a line end) of its own; both stay the
 * caller's. */
bool
ireko_fd_pass(int fd, int passed, IrekoDeadline deadline, int cancel_fd, GError **error);

/* A unix stream socket that listens at NAME inside the folder DIR_FD, however long the folder's
 * path is. Returns the fd (close-on-exec), or -1. */
int
ireko_fd_listen_at(int dir_fd, const char *name, GError **error);

/* Connects to the unix stream socket NAME inside DIR_FD. Returns a non-blocking, close-on-exec fd,
 * or -1 with IREKO_ERROR_NOT_FOUND (no such socket) or IREKO_ERROR_STATE (nobody listens). */
int
ireko_fd_connect_at(int dir_fd, const char *name, GError **error);

/* The same for a socket whose messages stay apart (SOCK_SEQPACKET). */
int
ireko_fd_listen_packets_at(int dir_fd, const char *name, GError **error);

int
ireko_fd_connect_packets_at(int dir_fd, const char *name, GError **error);
