/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/x86_host_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- Complaints --- */

unsigned model_complaints;
char model_complaint[160];

void model_complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (model_complaints++ == 0)
		vsnprintf(model_complaint, sizeof(model_complaint), fmt, ap);
	va_end(ap);
}

void model_reset_complaints(void)
{
	model_complaints = 0;
	model_complaint[0] = '\0';
}

/* --- The guest --- */

struct model_delivery model_deliveries[MODEL_DELIVERIES];
unsigned model_delivered;
uint64_t model_tsc;

uint8_t *model_first_page(uint64_t root)
{
	uint64_t table = root & UINT64_C(0x000ffffffffff000);

	for (unsigned level = 0; level < 4; level++) {
		uint64_t entry = *(const uint64_t *)(uintptr_t)table;

		if ((entry & 7) != 7)
			return NULL;
		table = entry & UINT64_C(0x000ffffffffff000);
	}
	return (uint8_t *)(uintptr_t)table;
}

/* Of a size of 2 or 4 bytes. */
static uint32_t value_at(const uint8_t *p, unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, p, size);
	return value;
}

int model_interpret_one(uint8_t *page, const uint8_t *p, uint64_t *gpr, unsigned size)
{
	int immediate = (int)size;

	switch (p[0]) {
	case 0xb8: gpr[X86_RAX] = value_at(p + 1, size); return 1 + immediate;
	case 0xb9: gpr[X86_RCX] = value_at(p + 1, size); return 1 + immediate;
	case 0x31: gpr[X86_RDX] = 0; return 2;
	case 0x01: gpr[X86_RAX] = (uint16_t)(gpr[X86_RAX] + gpr[X86_RCX]); return 2;
	case 0x42: gpr[X86_RDX]++; return 1;
	case 0xe2: gpr[X86_RCX]--; return gpr[X86_RCX] ? 2 + (int8_t)p[1] : 2;
	case 0xa3:
		memcpy(page + value_at(p + 1, size) % HC_PAGE_SIZE, &gpr[X86_RAX], size);
		return 1 + immediate;
	case 0x8b:
		gpr[X86_RBX] = value_at(page + value_at(p + 2, size) % HC_PAGE_SIZE, size);
		return 2 + immediate;
	default: return 0;
	}
}

/* --- XSAVE --- */

void model_x86_reset(struct model_x86 *x86, bool xsave, bool avx512, bool xsaves)
{
	*x86 = (struct model_x86){
		.xsave = xsave,
		.avx512 = avx512,
		.xsaves = xsaves,
		.xcr0 = 1,
	};
}

static uint32_t components(void)
{
	return model_x86()->avx512 ? 0xe7 : 7;
}

void model_cpuid_xsave(uint32_t component, uint32_t out[4])
{
	static const uint32_t place[8][2] = { { 0 }, { 0 },        { 256, 576 },  { 0 },
		                              { 0 }, { 64, 1088 }, { 512, 1152 }, { 1024, 1664 } };

	if (!model_x86()->xsave)
		return;
	if (component == 0) {
		out[0] = components();
		out[1] = out[2] = 2688;
	} else if (component == 1) {
		out[0] = model_x86()->xsaves ? 1u << 3 : 0;
	} else if (component < 8 && components() >> component & 1) {
		out[0] = place[component][0];
		out[1] = place[component][1];
	}
}

static void need_osxsave(const char *insn)
{
	if (!model_x86()->xsave || !(x86_host_read_cr4() & X86_CR4_OSXSAVE))
		model_complain("#UD: %s without CR4.OSXSAVE", insn);
}

uint64_t x86_host_xgetbv(void)
{
	need_osxsave("XGETBV");
	return model_x86()->xcr0;
}

void x86_host_xsetbv(uint64_t xcr0)
{
	const uint64_t avx512 = xcr0 & 0xe0;

	need_osxsave("XSETBV");
	if (!(xcr0 & 1) || (xcr0 & ~(uint64_t)components()) || (xcr0 & 6) == 4 ||
	    (avx512 && (avx512 != 0xe0 || !(xcr0 & 4))))
		model_complain("#GP: XSETBV %#llx", (unsigned long long)xcr0);
	model_x86()->xcr0 = xcr0;
}

void x86_host_xsave(void *area, uint64_t mask)
{
	uint64_t written = mask & model_x86()->xcr0;

	need_osxsave("XSAVE");
	memcpy(area, model_x86()->fpu, X86_XSAVE_SIZE);
	memset((uint8_t *)area + 512, 0, 64);
	memcpy((uint8_t *)area + 512, &written, sizeof(written));
}

void x86_host_xrstor(const void *area, uint64_t mask)
{
	uint64_t header[8];

	need_osxsave("XRSTOR");
	memcpy(header, (const uint8_t *)area + 512, sizeof(header));
	if (header[0] & ~model_x86()->xcr0)
		model_complain("#GP: XRSTOR of components %#llx", (unsigned long long)header[0]);
	for (unsigned i = 1; i < 8; i++) {
		if (header[i])
			model_complain("#GP: XRSTOR with reserved bytes in its header");
	}
	x86_host_fxrstor(area);
	memcpy(model_x86()->fpu + 576, (const uint8_t *)area + 576, X86_XSAVE_SIZE - 576);
}

void x86_host_fxsave(void *area)
{
	memcpy(area, model_x86()->fpu, 512);
}

void x86_host_fxrstor(const void *area)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, (const uint8_t *)area + 24, sizeof(mxcsr));
	if (mxcsr & 0xffff0000)
		model_complain("#GP: MXCSR = %#x", mxcsr);
	memcpy(model_x86()->fpu, area, 512);
}

/* --- The rest --- */

void x86_host_read_dr(uint64_t dr[4])
{
	memcpy(dr, model_x86()->dr, sizeof(model_x86()->dr));
}

void x86_host_write_dr(const uint64_t dr[4])
{
	memcpy(model_x86()->dr, dr, sizeof(model_x86()->dr));
}

void x86_host_machine_check(void)
{
	model_x86()->machine_checks++;
}
