/* SPDX-License-Identifier: BSD-2-Clause */
/* The decoder's answer to one question, for exits that do not tell the next RIP. */
#include "emu/x86_64/decode.h"

int x86_decode_length(const uint8_t *bytes, unsigned n, unsigned bits);

int x86_decode_length(const uint8_t *bytes, unsigned n, unsigned bits)
{
	struct x86_insn insn;

	return x86_decode(&insn, bytes, n, (enum x86_mode)bits);
}
