/* SPDX-License-Identifier: BSD-2-Clause */
/* What libfdt's headers ask of the environment, without a libc. Its archive itself calls mem*() and
 * str*(), which the board has. */
#ifndef PLATFORM_BOARD_LIBFDT_LIBFDT_ENV_H
#define PLATFORM_BOARD_LIBFDT_LIBFDT_ENV_H

#include <hypercore/freestanding.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A device tree's numbers are big-endian. */
typedef uint16_t fdt16_t;
typedef uint32_t fdt32_t;
typedef uint64_t fdt64_t;

static inline uint16_t fdt16_to_cpu(fdt16_t v)
{
	return __builtin_bswap16(v);
}

static inline fdt16_t cpu_to_fdt16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t fdt32_to_cpu(fdt32_t v)
{
	return __builtin_bswap32(v);
}

static inline fdt32_t cpu_to_fdt32(uint32_t v)
{
	return __builtin_bswap32(v);
}

static inline uint64_t fdt64_to_cpu(fdt64_t v)
{
	return __builtin_bswap64(v);
}

static inline fdt64_t cpu_to_fdt64(uint64_t v)
{
	return __builtin_bswap64(v);
}

#endif
