// SPDX-License-Identifier: Apache-2.0
// The files of web/, built into the program by embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace trainyard::node::http {

struct WebFile {
    std::string_view path;  ///< "/app.js"
    std::string_view content_type;
    std::string_view etag;  ///< with its quotes
    std::string_view content;
};
[[nodiscard]] std::span<const WebFile> web_files();

}  // namespace trainyard::node::http
