// SPDX-License-Identifier: Apache-2.0
// Writing and reading a validator's folder of keystores.
#include "node/wallet/keyring.hpp"

#include "node/wallet/files.hpp"
#include "node/wallet/keystore.hpp"

namespace trainyard::node::wallet {
namespace {

struct Entry {
    const char* file;
    SecretKey ValidatorKeys::*key;
};
constexpr Entry kEntries[] = {{"account.json", &ValidatorKeys::account},
                              {"consensus.json", &ValidatorKeys::consensus},
                              {"vrf.json", &ValidatorKeys::vrf},
                              {"p2p.json", &ValidatorKeys::p2p}};

bool is_part(const Entry& entry, KeyParts parts) {
    const bool is_p2p = entry.key == &ValidatorKeys::p2p;
    switch (parts) {
        case KeyParts::all:
            return true;
        case KeyParts::node:
            return is_p2p || entry.key == &ValidatorKeys::account;
        case KeyParts::signer:
            return !is_p2p && entry.key != &ValidatorKeys::account;
        case KeyParts::identity:
            return is_p2p;
    }
    return true;
}

}  // namespace

Result<ValidatorKeys, WalletError> create_validator_keys(const std::string& folder, bool light) {
    if (auto made = make_folder(folder); !made) return unexpected(made.error());
    if (file_exists(folder + "/account.json"))
        return unexpected(WalletError{
            WalletErrorCode::io, "'" + folder + "' holds keys already; choose another folder"});
    const std::string password = to_hex(random_fixed<FixedBytes<16>>().bytes);
    auto written = write_text(folder + "/password", password + "\n", FileMode::owner_only);
    if (!written) return unexpected(written.error());
    const ScryptCost cost{light ? 1u << 10 : 1u << 17, 8, 1};
    ValidatorKeys keys;
    for (const Entry& entry : kEntries) {
        keys.*entry.key = random_secret();
        written = write_text(folder + "/" + entry.file,
                             make_keystore(keys.*entry.key, password, cost), FileMode::owner_only);
        if (!written) return unexpected(written.error());
    }
    return keys;
}

Result<ValidatorKeys, WalletError> load_validator_keys(const std::string& folder, KeyParts parts) {
    auto password = read_text(folder + "/password", 4096);
    if (!password) return unexpected(password.error());
    while (!password->empty() && (password->back() == '\n' || password->back() == '\r'))
        password->pop_back();
    ValidatorKeys keys;
    for (const Entry& entry : kEntries) {
        if (!is_part(entry, parts)) continue;
        const std::string path = folder + "/" + entry.file;
        const auto json = read_text(path, 65536);
        if (!json) return unexpected(json.error());
        const auto key = open_keystore(*json, *password);
        if (!key)
            return unexpected(WalletError{key.error().code, "'" + path + "': " + key.error().text});
        keys.*entry.key = *key;
    }
    return keys;
}

}  // namespace trainyard::node::wallet
