// SPDX-License-Identifier: Apache-2.0
// Whole files: what stands at a path and is none is neither read nor replaced.
#include "node/wallet/files.hpp"

#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace trainyard::node::wallet {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class FilesTest : public testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string at(const std::string& name) const {
        return (folder_ / name).string();
    }
    [[nodiscard]] std::string socket() const {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        at("socket").copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ::close(fd);
        return at("socket");
    }
    [[nodiscard]] std::string pipe() const {
        EXPECT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
        return at("pipe");
    }
    [[nodiscard]] static std::string why_not_read(const std::string& path, size_t bytes_max = 10) {
        const auto content = read_file(path, bytes_max);
        return content ? "it was read" : content.error().text;
    }

    const std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("files_" + std::to_string(::getpid()));
};

TEST_F(FilesTest, rejects_what_is_no_file_unread) {
    constexpr size_t kMore = size_t{1} << 40;  // than there is memory
    EXPECT_THAT(why_not_read("/dev/zero", kMore), EndsWith("it is a device, no file"));
    EXPECT_THAT(why_not_read("/dev/null"), EndsWith("it is a device, no file"));
    EXPECT_THAT(why_not_read(folder_.string()), EndsWith("it is a folder, no file"));
    EXPECT_THAT(why_not_read(socket()), EndsWith("it is a socket, no file"));
    EXPECT_THAT(why_not_read(at("absent")), HasSubstr("No such file"));
    std::filesystem::create_symlink("absent", at("broken"));
    EXPECT_THAT(why_not_read(at("broken")), HasSubstr("No such file"));
}

TEST_F(FilesTest, rejects_a_file_by_its_size_before_any_of_it_is_read) {
    ASSERT_TRUE(write_text(at("sparse"), "x"));
    std::filesystem::resize_file(at("sparse"), uintmax_t{1} << 40);
    constexpr size_t kMax = (size_t{1} << 40) - 1;
    EXPECT_THAT(why_not_read(at("sparse"), kMax), HasSubstr("is larger than"));
    EXPECT_THAT(why_not_read("/proc/self/status"), HasSubstr("is larger than 10 bytes"))
        << "those of /proc have no size";
    EXPECT_TRUE(read_file("/proc/self/status", 1 << 20));
}

TEST_F(FilesTest, reads_a_pipe_to_its_end_and_waits_for_no_writer) {
    const std::string path = pipe();
    EXPECT_THAT(why_not_read(path), HasSubstr("nobody writes into the pipe"));
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    const int writer = ::open(path.c_str(), O_WRONLY);
    std::thread slow([&] {
        for (const char* part : {"hello ", "world"}) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            EXPECT_TRUE(write_all(writer, as_bytes(part)));
        }
        ::close(writer);
    });
    EXPECT_EQ(read_text(path, 11).value(), "hello world");
    slow.join();
    ::close(reader);
}

TEST_F(FilesTest, rejects_a_pipe_that_brings_too_much) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_TRUE(write_all(ends[1], as_bytes("twelve bytes")));
    ::close(ends[1]);
    EXPECT_THAT(why_not_read("/dev/fd/" + std::to_string(ends[0])), HasSubstr("is larger than 10"));
    ::close(ends[0]);
}

TEST_F(FilesTest, replaces_a_file_and_nothing_else) {
    for (const std::string& path : {pipe(), socket(), folder_.string()}) {
        struct stat before {
        }, after{};
        ASSERT_EQ(::lstat(path.c_str(), &before), 0);
        const auto written = write_text(path, "x");
        ASSERT_FALSE(written) << path;
        EXPECT_THAT(written.error().text, EndsWith("no file"));
        ASSERT_EQ(::lstat(path.c_str(), &after), 0);
        EXPECT_EQ(before.st_mode, after.st_mode);
    }
    EXPECT_EQ(list_folder(folder_.string()), (std::vector<std::string>{"pipe", "socket"}));
    ASSERT_TRUE(write_text(at("file"), "x"));
    ASSERT_TRUE(write_text(at("file"), "y"));
    EXPECT_EQ(read_text(at("file"), 1).value(), "y");
}

}  // namespace
}  // namespace trainyard::node::wallet
