/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/host/fpu.h"

#include <hypercore/freestanding.h>

#include "arch/x86_64/host/cpu.h"
#include "arch/x86_64/x86.h"

struct x86_fpu_caps x86_fpu_caps;

/* --- What there is --- */

static void detect_xsave(struct x86_fpu_caps *caps)
{
	/* x87, SSE, AVX, AVX-512 (3), PKRU: as far as the neutral state has room for them. */
	static const uint8_t components[] = { 2, 5, 6, 7, 9 };
	uint32_t leaf1[4], all[4], one[4];

	x86_host_cpuid(1, 0, leaf1);
	caps->xsave = leaf1[2] >> 26 & 1;
	caps->xcr0 = 3;
	if (!caps->xsave)
		return;
	x86_host_cpuid(0xd, 0, all);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(components); i++) {
		unsigned c = components[i];

		x86_host_cpuid(0xd, c, one);
		if (all[0] >> c & 1 && one[0] && (uint64_t)one[0] + one[1] <= X86_XSAVE_SIZE)
			caps->xcr0 |= HC_BIT(c);
	}
}

/* SSE..AVX-512 go together: XSETBV refuses the three parts of AVX-512 one by one. */
static void complete_xcr0(struct x86_fpu_caps *caps)
{
	const uint64_t avx512 = 0xe0;

	if ((caps->xcr0 & avx512) != avx512 || !(caps->xcr0 & HC_BIT(2)))
		caps->xcr0 &= ~avx512;
}

static void detect_xsaves(struct x86_fpu_caps *caps)
{
	uint32_t one[4] = { 0 };

	if (caps->xsave)
		x86_host_cpuid(0xd, 1, one);
	caps->xsaves = one[0] >> 3 & 1;
}

struct x86_fpu_caps x86_fpu_detect(void)
{
	struct x86_fpu_caps caps;

	detect_xsave(&caps);
	complete_xcr0(&caps);
	detect_xsaves(&caps);
	return caps;
}

/* Guests' IA32_XSS is 0, and firmware may have had other wishes. */
void x86_fpu_enable(void)
{
	if (x86_fpu_caps.xsaves)
		x86_host_wrmsr(X86_MSR_XSS, 0);
}

/* --- In and out --- */

/* The XSAVE area (SDM Vol. 1 13.4): FCW at 0. */
#define XSAVE_MXCSR   24
#define XSAVE_X87     32
#define XSAVE_XMM     160
#define XSAVE_XMM_END 416
#define XSAVE_HEADER  512

/* XRSTOR faults on what no XSAVE has written (SDM Vol. 1 13.8); the area may come from outside. */
static void sanitise_xsave(uint8_t *area)
{
	uint32_t mxcsr;
	uint64_t header[8];

	memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof(mxcsr));
	mxcsr &= 0xffff;
	memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(header, area + XSAVE_HEADER, sizeof(header));
	header[0] &= x86_fpu_caps.xcr0;
	memset(&header[1], 0, sizeof(header) - sizeof(header[0]));
	memcpy(area + XSAVE_HEADER, header, sizeof(header));
}

/* An XCR0 that XSETBV takes (SDM Vol. 1 13.3). */
static uint64_t valid_xcr0(uint64_t xcr0)
{
	const uint64_t avx = HC_BIT(2), avx512 = 0xe0;

	xcr0 = (xcr0 & x86_fpu_caps.xcr0) | 1;
	if ((xcr0 & avx) && !(xcr0 & 2))
		xcr0 &= ~avx;
	if (!(xcr0 & avx) || (xcr0 & avx512) != avx512)
		xcr0 &= ~avx512;
	return xcr0;
}

/* Without XSAVE: an area whose header says "initial" is made so, as XRSTOR would. */
static void fx_in(uint8_t *area)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;
	uint8_t present = area[XSAVE_HEADER];

	if (!(present & 1)) {
		memset(area, 0, XSAVE_MXCSR);
		memset(area + XSAVE_X87, 0, XSAVE_XMM - XSAVE_X87);
		memcpy(area, &fcw, sizeof(fcw));
	}
	if (!(present & 2)) {
		memset(area + XSAVE_XMM, 0, XSAVE_XMM_END - XSAVE_XMM);
		memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	}
	x86_host_fxrstor(area);
}

/* Leaves what XRSTOR takes elsewhere. */
static void fx_out(struct x86_state *st)
{
	x86_host_fxsave(st->xsave);
	memset(st->xsave + XSAVE_HEADER, 0, sizeof(st->xsave) - XSAVE_HEADER);
	st->xsave[XSAVE_HEADER] = 3;
	st->xcr0 = 1;
}

void x86_fpu_in(struct x86_state *st)
{
	sanitise_xsave(st->xsave);
	if (!x86_fpu_caps.xsave) {
		fx_in(st->xsave);
		return;
	}
	x86_host_xsetbv(x86_fpu_caps.xcr0);
	x86_host_xrstor(st->xsave, x86_fpu_caps.xcr0);
	x86_host_xsetbv(valid_xcr0(st->xcr0));
}

void x86_fpu_out(struct x86_state *st)
{
	if (!x86_fpu_caps.xsave) {
		fx_out(st);
		return;
	}
	st->xcr0 = x86_host_xgetbv();
	x86_host_xsetbv(x86_fpu_caps.xcr0);
	x86_host_xsave(st->xsave, x86_fpu_caps.xcr0);
}
