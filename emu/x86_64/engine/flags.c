/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/engine/engine.h"

uint64_t emu_flags_get(const struct emu_flags *f)
{
	uint64_t flags = 0;

	flags |= emu_cf(f) ? X86_FLAG_CF : 0;
	flags |= emu_pf(f) ? X86_FLAG_PF : 0;
	flags |= f->aux & EMU_AUX_AF ? X86_FLAG_AF : 0;
	flags |= emu_zf(f) ? X86_FLAG_ZF : 0;
	flags |= emu_sf(f) ? X86_FLAG_SF : 0;
	flags |= emu_of(f) ? X86_FLAG_OF : 0;
	return flags;
}

/* A result of 0 or 1 gives ZF; what SF and PF then would be is put right through aux. */
void emu_flags_set(struct emu_flags *f, uint64_t rflags)
{
	bool zf = rflags & X86_FLAG_ZF, pf = rflags & X86_FLAG_PF, cf = rflags & X86_FLAG_CF;
	bool of = rflags & X86_FLAG_OF;
	uint64_t aux = 0;

	aux |= cf ? EMU_AUX_CF : 0;
	aux |= cf != of ? EMU_AUX_CARRY_IN : 0;
	aux |= rflags & X86_FLAG_AF ? EMU_AUX_AF : 0;
	aux |= rflags & X86_FLAG_SF ? EMU_AUX_SF : 0;
	aux |= zf != pf ? UINT64_C(1) << 8 : 0;
	f->result = !zf;
	f->aux = aux;
}
