/* SPDX-License-Identifier: BSD-2-Clause */
/* What core/log.c asks of a platform, on the firmware's console. */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/uefi/loader.h"
#include "platform/platform.h"

static struct efi_text_output *console;

void uefi_log_init(struct efi_system_table *system)
{
	console = system->con_out;
}

struct hc_cpu *hc_platform_this_cpu(void)
{
	return NULL;
}

void hc_platform_log(const char *line, size_t len)
{
	efi_char_t wide[258];
	size_t n = 0;

	if (!console)
		return;
	while (n < len && n < HC_ARRAY_SIZE(wide) - 3) {
		wide[n] = (unsigned char)line[n];
		n++;
	}
	wide[n++] = '\r';
	wide[n++] = '\n';
	wide[n] = 0;
	console->output_string(console, wide);
}

void hc_platform_panic(const char *message)
{
	hc_platform_log(message, strlen(message));
	for (;;)
		__builtin_trap();
}

static const char *status_name(efi_status_t status)
{
	static const struct {
		efi_status_t status;
		const char *name;
	} names[] = {
		{ EFI_LOAD_ERROR, "load error" },
		{ EFI_INVALID_PARAMETER, "invalid parameter" },
		{ EFI_UNSUPPORTED, "unsupported" },
		{ EFI_DEVICE_ERROR, "device error" },
		{ EFI_OUT_OF_RESOURCES, "out of resources" },
		{ EFI_NOT_FOUND, "not found" },
		{ EFI_ABORTED, "aborted" },
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "error";
}

efi_status_t uefi_error(efi_status_t status, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	hc_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hc_log(HC_LOG_ERROR, "%s (%s, EFI status %#llx)", text, status_name(status),
	       (unsigned long long)(status & ~EFI_ERROR_BIT));
	return status;
}
