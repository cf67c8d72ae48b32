// SPDX-License-Identifier: Apache-2.0
// The file is one line: the name.
#include "node/provider/place.hpp"

#include "core/hash.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::provider {

Result<std::string, std::string> place_of(const std::string& folder) {
    constexpr std::string_view kPrefix = "place:";
    constexpr size_t kNameBytes = kPrefix.size() + 32, kFileBytesMax = 256;
    const std::string path = folder + "/place";
    const auto kept = wallet::read_text(path, kFileBytesMax);
    if (kept && kept->starts_with(kPrefix) && kept->size() == kNameBytes + 1 &&
        kept->ends_with('\n'))
        return kept->substr(0, kNameBytes);
    const std::string name =
        std::string(kPrefix) + to_hex(wallet::random_fixed<Hash>().bytes).substr(0, 32);
    if (auto made = wallet::make_folder(folder); !made) return unexpected(made.error().text);
    if (auto done = wallet::write_text(path, name + "\n"); !done)
        return unexpected(done.error().text);
    return name;
}

}  // namespace trainyard::node::provider
