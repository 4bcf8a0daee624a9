/* SPDX-License-Identifier: BSD-2-Clause */
/* What of the x87 and vector instructions the guest may be offered. */
#include <hypercore/errno.h>

#include "emu/x86_64/engine/vector.h"
#include "emu/x86_64/native/native.h"

struct feature {
	uint32_t leaf;
	uint8_t subleaf, reg, bit;
};

#define FEATURE_ROW_(name, leaf, subleaf, reg, bit) [VEC_##name] = { leaf, subleaf, reg, bit },
static const struct feature features[VEC_FEATURE_COUNT] = { VEC_FEATURES(FEATURE_ROW_) };
#undef FEATURE_ROW_

/* Bits that say how x87 and XSAVE behave rather than what is there. */
static const struct {
	struct feature what;
	uint8_t needs; /* enum vec_feature */
} manners[] = {
	{ { 7, 0, 1, 13 }, VEC_FPU },           /* FCS and FDS are always 0 */
	{ { 0xd, 1, 0, 0 }, VEC_XSAVE },        /* XSAVEOPT */
	{ { 0xd, 1, 0, 1 }, VEC_XSAVE },        /* XSAVEC and the compacted format */
	{ { 0xd, 1, 0, 2 }, VEC_XSAVE },        /* XGETBV with ECX = 1 */
	{ { 0xd, 1, 0, 3 }, VEC_XSAVE },        /* XSAVES, XRSTORS */
	{ { 0x80000001, 0, 3, 0 }, VEC_FPU },   /* AMD's copies of leaf 1 */
	{ { 0x80000001, 0, 3, 23 }, VEC_MMX },  /* the same */
	{ { 0x80000001, 0, 3, 24 }, VEC_FXSR }, /* the same */
	{ { 0x80000001, 0, 3, 25 }, VEC_FXSR }, /* fast FXSAVE, FXRSTOR */
};

static uint64_t offered; /* bit n: enum vec_feature n */

bool emu_vec_has(unsigned feature)
{
	return offered >> feature & 1;
}

/* Whether the operating system lets AVX be used, or will. */
static bool host_lets(unsigned feature)
{
	bool has_avx = (emu_native_xcr0() & XSTATE_ALL) == XSTATE_ALL;

	switch (feature) {
	case VEC_AVX:
	case VEC_AVX2:
	case VEC_FMA:
	case VEC_F16C:
	case VEC_VAES:
	case VEC_VPCLMUL:
	case VEC_VNNI: return has_avx;
	default: return true;
	}
}

void emu_vec_detect(void)
{
	uint64_t found = 0;

	for (unsigned i = VEC_NEVER + 1; i < VEC_FEATURE_COUNT; i++) {
		uint32_t regs[4];

		emu_native_cpuid(features[i].leaf, features[i].subleaf, regs);
		/* XSAVE is C code alone; all others are the host's. */
		if (i == VEC_XSAVE ||
		    (regs[features[i].reg] >> features[i].bit & 1 && host_lets(i)))
			found |= HC_BIT(i);
	}
	offered = found;
}

int emu_vector_init(void)
{
	int err = emu_stub_init();

	if (!err)
		emu_vec_detect();
	return err;
}

void emu_vector_cpu_enable(void)
{
	emu_native_enable();
}

static bool is_in(const struct feature *f, unsigned leaf, unsigned subleaf, unsigned reg)
{
	return f->leaf == leaf && f->reg == reg &&
	       (f->subleaf == subleaf || (leaf != 7 && leaf != 0xd));
}

/* Leaf 0Dh: the components and where they are (SDM Vol. 1 13.2). */
static uint32_t xsave_layout(unsigned subleaf, unsigned reg)
{
	bool avx = emu_vec_has(VEC_AVX);

	if (!emu_vec_has(VEC_XSAVE))
		return 0;
	if (subleaf == 0 && reg == 0)
		return (uint32_t)(avx ? XSTATE_ALL : XSTATE_X87 | XSTATE_SSE);
	if (subleaf == 0 && (reg == 1 || reg == 2))
		return avx ? XSAVE_ALL : XSAVE_YMM;
	if (subleaf == 2 && avx && reg < 2)
		return reg == 0 ? XSAVE_ALL - XSAVE_YMM : XSAVE_YMM;
	return 0;
}

uint32_t emu_vector_features(unsigned leaf, unsigned subleaf, unsigned reg)
{
	uint32_t bits = leaf == 0xd ? xsave_layout(subleaf, reg) : 0;

	for (unsigned i = VEC_NEVER + 1; i < VEC_FEATURE_COUNT; i++)
		if (emu_vec_has(i) && is_in(&features[i], leaf, subleaf, reg))
			bits |= 1u << features[i].bit;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(manners); i++)
		if (emu_vec_has(manners[i].needs) && is_in(&manners[i].what, leaf, subleaf, reg))
			bits |= 1u << manners[i].what.bit;
	return bits;
}
