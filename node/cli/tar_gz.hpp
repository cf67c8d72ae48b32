// SPDX-License-Identifier: Apache-2.0
// Files in one compressed archive that every tar reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace trainyard::node::cli {

struct ArchiveFile {
    std::string name;  ///< relative, at most 100 bytes
    std::string content;
};

/// A POSIX ustar archive of regular files, through gzip. The same input gives the same bytes.
/// Errors: a name that is too long; a content of 8 GiB or more; zlib out of memory.
[[nodiscard]] Result<Bytes, std::string> make_tar_gz(const std::vector<ArchiveFile>& files,
                                                     uint64_t modified_s);

}  // namespace trainyard::node::cli
