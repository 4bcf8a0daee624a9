/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration and the files that it names, from the volume of the application. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "platform/board/config.h"
#include "platform/board/uefi/loader.h"

_Static_assert(sizeof(((struct board_vm_config *)NULL)->kernel) <= BOARD_MODULE_NAME, "names");
_Static_assert(sizeof(((struct board_vm_config *)NULL)->initrd) <= BOARD_MODULE_NAME, "names");

static const struct efi_guid file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;

static efi_status_t open_volume(struct efi_boot_services *services, efi_handle_t device,
                                struct efi_file **root)
{
	struct efi_file_system *fs;
	efi_status_t status = services->handle_protocol(device, &file_system_guid, &fs);

	if (status == EFI_SUCCESS)
		status = fs->open_volume(fs, root);
	if (status != EFI_SUCCESS)
		return uefi_error(status, "cannot read the volume that hypercore.efi is on: it "
		                          "should have a FAT file system");
	return EFI_SUCCESS;
}

static efi_status_t open_file(struct efi_file *root, const char *name, struct efi_file **file)
{
	efi_char_t path[sizeof(UEFI_FOLDER) + BOARD_MODULE_NAME];
	static const char folder[] = UEFI_FOLDER;
	efi_status_t status;
	size_t n = 0;

	for (const char *s = folder; *s; s++)
		path[n++] = (unsigned char)*s;
	for (const char *s = name; *s && n < HC_ARRAY_SIZE(path) - 1; s++)
		path[n++] = (unsigned char)*s;
	path[n] = 0;
	status = root->open(root, file, path, EFI_FILE_MODE_READ, 0);
	if (status != EFI_SUCCESS)
		return uefi_error(status,
		                  UEFI_FOLDER "%s: cannot be opened: it should be on the "
		                              "volume that hypercore.efi is on",
		                  name);
	return EFI_SUCCESS;
}

/* Seeking to the end tells the size without the firmware's variable-sized file information; it
 * fails on a directory (13.5). */
static efi_status_t file_size(struct efi_file *file, const char *name, uint64_t *size)
{
	efi_status_t status = file->set_position(file, EFI_FILE_POSITION_END);

	if (status == EFI_SUCCESS)
		status = file->get_position(file, size);
	if (status == EFI_SUCCESS)
		status = file->set_position(file, 0);
	if (status != EFI_SUCCESS)
		return uefi_error(status, UEFI_FOLDER "%s: has no size: it should be a file", name);
	if (*size == 0 || *size > 64 * HC_GIB)
		return uefi_error(EFI_LOAD_ERROR,
		                  UEFI_FOLDER "%s: has %llu bytes: should have some, "
		                              "and fit into memory",
		                  name, (unsigned long long)*size);
	return EFI_SUCCESS;
}

static efi_status_t read_file(struct efi_file *file, const char *name, char *to, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		uint64_t n = size - done;
		efi_status_t status = file->read(file, &n, to + done);

		if (status != EFI_SUCCESS || n == 0)
			return uefi_error(status == EFI_SUCCESS ? EFI_LOAD_ERROR : status,
			                  UEFI_FOLDER "%s: reading ended after %llu of %llu bytes",
			                  name, (unsigned long long)done, (unsigned long long)size);
		done += n;
	}
	return EFI_SUCCESS;
}

static efi_status_t load_open_file(struct efi_file *file, const char *name,
                                   struct board_module *module)
{
	uint64_t size = 0, address = 0;
	efi_status_t status = file_size(file, name, &size);

	if (status == EFI_SUCCESS)
		status = uefi_alloc(EFI_LOADER_DATA, size, EFI_PAGE_SIZE, true, name, &address);
	if (status == EFI_SUCCESS)
		status = read_file(file, name, (char *)(uintptr_t)address, size);
	if (status == EFI_SUCCESS) {
		module->base = address;
		module->size = size;
	}
	return status;
}

/* Two VMs may name the same file; "" is no file. */
static efi_status_t load_module(struct efi_file *root, struct board_boot_info *info,
                                const char *name)
{
	struct board_module *module = &info->modules[info->module_count];
	struct efi_file *file;
	efi_status_t status;

	if (name[0] == '\0')
		return EFI_SUCCESS;
	for (unsigned i = 0; i < info->module_count; i++)
		if (strcmp(info->modules[i].name, name) == 0)
			return EFI_SUCCESS;
	if (info->module_count == BOARD_MAX_MODULES)
		return uefi_error(EFI_OUT_OF_RESOURCES,
		                  UEFI_FOLDER "%s: is one file too many: at "
		                              "most %d are possible",
		                  name, BOARD_MAX_MODULES);
	status = open_file(root, name, &file);
	if (status != EFI_SUCCESS)
		return status;
	status = load_open_file(file, name, module);
	file->close(file);
	if (status == EFI_SUCCESS) {
		memcpy(module->name, name, strlen(name) + 1);
		info->module_count++;
	}
	return status;
}

static efi_status_t load_all(struct efi_file *root, struct board_boot_info *info)
{
	static struct board_config config; /* too large for a stack that is not ours */
	efi_status_t status = load_module(root, info, UEFI_CONFIG);

	if (status != EFI_SUCCESS)
		return status;
	board_config_init(&config);
	if (board_config_parse(&config, UEFI_CONFIG, (const char *)(uintptr_t)info->modules[0].base,
	                       (size_t)info->modules[0].size) != 0)
		return EFI_LOAD_ERROR; /* the parser has said why */
	for (unsigned i = 0; i < config.vm_count && status == EFI_SUCCESS; i++) {
		status = load_module(root, info, config.vms[i].kernel);
		if (status == EFI_SUCCESS)
			status = load_module(root, info, config.vms[i].initrd);
	}
	return status;
}

efi_status_t uefi_load_files(struct efi_boot_services *services, efi_handle_t device,
                             struct board_boot_info *info)
{
	struct efi_file *root = NULL;
	efi_status_t status = open_volume(services, device, &root);

	if (status != EFI_SUCCESS || !root)
		return status;
	status = load_all(root, info);
	root->close(root);
	return status;
}
