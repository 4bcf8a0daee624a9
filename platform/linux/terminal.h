/* SPDX-License-Identifier: BSD-2-Clause */
/* The user's terminal in raw mode, and always back. There is one at most in a process. */
#ifndef PLATFORM_LINUX_TERMINAL_H
#define PLATFORM_LINUX_TERMINAL_H

#include <hypercore/types.h>

/* Puts the terminal behind fd in raw mode: each key goes to the guest as it is. Nothing happens if
 * fd is not a terminal, or not ours to change now because this process runs in the background.
 * True if it is in raw mode. */
bool linux_terminal_raw(int fd);

/* As it was before linux_terminal_raw(). Harmless when repeated; may be called in a signal handler.
 */
void linux_terminal_restore(void);

/* Lines written to this fd have to end in CR LF, as it is the raw terminal. */
bool linux_terminal_is_raw(int fd);

/* Whether the guest's output has left the cursor within a line. */
void linux_terminal_set_column(bool within_line);
bool linux_terminal_within_line(void);

#endif
