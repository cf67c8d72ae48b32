// SPDX-License-Identifier: Apache-2.0
// Which files a verifier may open: those of its libraries and devices. Landlock refuses the others.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"

namespace trainyard::node::verify {

enum class FileAccess : uint8_t {
    read,     ///< files and folders
    device,   ///< also written to, and ioctl
    scratch,  ///< also made and removed
    names,    ///< written to, no more
};

/// Holds for what the path names when the rules are laid down, and for all below it.
struct FileRule {
    std::string path;  ///< absolute, without symbolic links
    FileAccess access = FileAccess::read;
    bool operator==(const FileRule&) const = default;
};

struct FileNeeds {
    bool has_gpu = false;
    std::string library_path;         ///< folders between colons, as in $LD_LIBRARY_PATH
    std::vector<std::string> hidden;  ///< never allowed, wherever they lie
};

/// The rules of this machine. Landlock knows no exceptions, so a folder with something hidden below
/// it is taken apart: what lies beside the way to it is allowed one by one.
[[nodiscard]] std::vector<FileRule> file_rules(const FileNeeds& needs);

/// Refuses this thread, and those that it starts, all other files from now on. Nothing may be
/// executed, and where the kernel knows how, neither TCP nor abstract sockets and signals of
/// processes outside are in reach. The error is a text; needs no_new_privs.
[[nodiscard]] Result<Done, std::string> confine_files(const std::vector<FileRule>& rules);

}  // namespace trainyard::node::verify
