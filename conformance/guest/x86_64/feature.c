/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/x86_64/feature.h"

static const struct {
	uint32_t leaf;
	uint8_t subleaf, where, bit;
	const char *name;
} features[] = {
#define FEATURE_ROW(name, leaf, subleaf, reg, bit)                                                 \
	{ leaf, subleaf, reg, bit, "CPUID." #leaf "." #subleaf ":" #reg "." #name "[" #bit "]" },
	FEATURES(FEATURE_ROW)
#undef FEATURE_ROW
};

bool has(enum feature feature)
{
	struct cpuid regs = cpuid_checked(features[feature].leaf, features[feature].subleaf);
	const uint32_t values[] = { regs.eax, regs.ebx, regs.ecx, regs.edx };

	return values[features[feature].where] >> features[feature].bit & 1;
}

const char *feature_name(enum feature feature)
{
	return features[feature].name;
}

void need(enum feature feature)
{
	if (!has(feature))
		skip(features[feature].name);
}

/* The vendor string's first four bytes. */
bool vendor_is_intel(void)
{
	return cpuid(0, 0).ebx == 0x756e6547;
}

unsigned int physical_bits(void)
{
	unsigned int bits = cpuid_checked(0x80000008, 0).eax & 0xff;

	return bits ? bits : 36;
}

unsigned int linear_bits(void)
{
	unsigned int bits = cpuid_checked(0x80000008, 0).eax >> 8 & 0xff;

	return bits ? bits : 48;
}
