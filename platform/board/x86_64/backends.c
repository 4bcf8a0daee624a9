/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/board.h"

const struct hc_backend_ops *const board_backends[] = {
	NULL,
};
