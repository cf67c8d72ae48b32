// SPDX-License-Identifier: Apache-2.0
// `trainyard account`: makes, imports and shows keystores, sends coins.
#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/json_util.hpp"
#include "node/wallet/keyring.hpp"
#include "node/wallet/keystore.hpp"
#include "node/wallet/tx_sender.hpp"

namespace trainyard::node::cli {
namespace {

std::string folder_of(const AccountArgs& args) {
    return args.folder.empty() ? home_folder() + "/keystore" : args.folder;
}

/// A slip of the finger would lock the key away for good.
Result<std::string, std::string> ask_new_password(const std::string& password_file) {
    auto password = ask_password("new password", password_file);
    if (!password || !password_file.empty()) return password;
    const auto again = ask_password("the same once more", "");
    if (!again) return again;
    if (*again != *password)
        return unexpected(std::string("the two passwords differ; nothing was written"));
    return password;
}

int store(const Output& out, const AccountArgs& args, const SecretKey& key) {
    const auto password = ask_new_password(args.password_file);
    if (!password) return out.fail(password.error());
    if (password->empty())
        return out.fail("an empty password protects nothing; choose another one");
    const std::string folder = folder_of(args);
    if (auto made = wallet::make_folder(folder); !made) return out.fail(made.error().text);
    const auto address = to_hex0x(address_of(key)->bytes);
    const std::string path = folder + "/" + address + ".json";
    if (wallet::file_exists(path)) return out.fail("'" + path + "' exists already");
    const wallet::ScryptCost cost{args.light ? 1u << 12 : 1u << 17, 8, 1};
    auto written = wallet::write_text(path, wallet::make_keystore(key, *password, cost),
                                      wallet::FileMode::owner_only);
    if (!written) return out.fail(written.error().text);
    if (out.json)
        out.line(boost::json::serialize(boost::json::object{{"address", address}, {"path", path}}));
    else
        out.line(address + "  " + path);
    return kOk;
}

/// Nothing of what is no keystore, such as the password beside a validator's keys.
std::optional<std::string> address_in(const std::string& path) {
    const auto text = wallet::read_text(path, 65536);
    const auto root = text ? wallet::parse_json(*text) : std::nullopt;
    const auto address = root ? wallet::text_member(*root, "address") : std::nullopt;
    if (!address) return std::nullopt;
    return (address->starts_with("0x") ? "" : "0x") + *address;
}

}  // namespace

int run_account_new(const Output& out, const AccountArgs& args) {
    return store(out, args, wallet::random_secret());
}

int run_account_validator(const Output& out, const AccountArgs& args) {
    const std::string folder = args.folder.empty() ? "keys" : args.folder;
    if (wallet::file_exists(folder + "/consensus.json"))
        return out.fail("'" + folder +
                        "' holds a validator's keys already; a second set would "
                        "invite signing twice: name another --keystore folder");
    const auto keys = wallet::create_validator_keys(folder, args.light);
    if (!keys) return out.fail(keys.error().text);
    const boost::json::object shown{
        {"address", to_hex0x(address_of(keys->account)->bytes)},
        {"consensusKey", to_hex0x(public_key(keys->consensus)->bytes)},
        {"vrfKey", to_hex0x(public_key(keys->vrf)->bytes)},
        {"p2pKey", to_hex0x(public_key(keys->p2p)->bytes)},
        {"folder", folder},
    };
    if (out.json) return out.line(boost::json::serialize(shown)), kOk;
    for (const auto& [name, value] : shown)
        out.line(std::string(name) + std::string(14 - name.size(), ' ') +
                 std::string(value.as_string()));
    return kOk;
}

int run_account_import(const Output& out, const AccountArgs& args) {
    auto text = wallet::read_text(args.file, 4096);
    if (!text) return out.fail(text.error().text);
    while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back())))
        text->pop_back();
    const auto key = fixed_from_hex<SecretKey>(*text);
    if (!key || !is_valid_secret(*key))
        return out.fail("'" + args.file + "' holds no private key of 32 bytes in hexadecimal");
    return store(out, args, *key);
}

int run_account_list(const Output& out, const AccountArgs& args) {
    const std::string folder = folder_of(args);
    bool is_empty = true;
    for (const auto& name : wallet::list_folder(folder)) {
        const std::string path = folder + "/" + name;
        const auto address = address_in(path);
        if (!address) continue;
        is_empty = false;
        if (out.json)
            out.line(
                boost::json::serialize(boost::json::object{{"address", *address}, {"path", path}}));
        else
            out.line(*address + "  " + path);
    }
    if (is_empty && !out.json)
        out.say("no keystores in '" + folder + "'; `trainyard account new` makes one");
    return kOk;
}

int run_account_show(const Output& out, const AccountArgs& args) {
    const auto key = open_key({args.file, args.password_file});
    if (!key) return out.fail(key.error());
    const auto address = to_hex0x(address_of(*key)->bytes);
    if (out.json)
        out.line(boost::json::serialize(boost::json::object{{"address", address}}));
    else
        out.line(address);
    return kOk;
}

int run_account_send(const Output& out, const SendArgs& args) {
    const auto to = fixed_from_hex<Address>(args.to);  // one, as the command line has seen
    const auto amount = parse_coins(args.amount);
    if (!amount)
        return out.fail("--amount '" + args.amount + "' is no amount like 1.5 or 3gwei"), kUsage;
    const auto key = open_key(args.key);
    if (!key) return out.fail(key.error());
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    wallet::TxSender sender(**client, *key);
    const auto sent = sender.send({*to, *amount, {}});
    if (!sent) return out.fail(sent.error().text);
    if (out.json)
        out.line(boost::json::serialize(
            boost::json::object{{"tx", to_hex0x(sent->tx.bytes)}, {"block", sent->block}}));
    else
        out.line(in_coins(*amount) + " sent in block " + std::to_string(sent->block) + ", tx " +
                 to_hex0x(sent->tx.bytes));
    return kOk;
}

}  // namespace trainyard::node::cli
