/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/aarch64/el2/el2.h"
#include "machines/virt.h"
#include "platform/board/board.h"

/* In the order in which `backend = auto` tries them. */
const struct hc_backend_ops *const board_backends[] = {
	&el2_backend,
	NULL,
};

const machine_create_fn board_create_guest = virt_create;
const uint64_t board_guest_exit_at = VIRT_EXIT;
