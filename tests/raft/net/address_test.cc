#include "raft/net/address.h"

#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::raft::net;

TEST_GROUP(Address){
    void reads(const char* text, const char* host, int port){Result<Address> address = parse_address(text);
CHECK_TEXT(address.is_ok(), text);
STRCMP_EQUAL(host, address->host.c_str());
LONGS_EQUAL(port, address->port);
STRCMP_EQUAL(text, address->text().c_str());
}
void refuses(const char* text) {
  Result<Address> address = parse_address(text);
  CHECK_TEXT(!address.is_ok(), text);
  STRCMP_CONTAINS("is not host:port, for example 127.0.0.1:9001", address.status().sentence().c_str());
  STRCMP_CONTAINS(text, address.status().sentence().c_str());
}
}
;

TEST(Address, names_and_numbers_are_read_and_written_back) {
  reads("127.0.0.1:9001", "127.0.0.1", 9001);
  reads("node-1.example.org:1", "node-1.example.org", 1);
  reads("[::1]:65535", "::1", 65535);
  reads("localhost:0", "localhost", 0);
}

TEST(Address, everything_else_is_refused_with_an_example) {
  for (const char* text :
       {"", "foo", ":9001", "foo:", "foo:x", "foo:65536", "foo:123456", "foo:-1", "::1:9001", "[]:1",
        "[foo]:1", "[::1]", "[::1]x:1", "a b:1", "a/b:1", "[127.0.0.1:1"}) {
    refuses(text);
  }
  refuses((std::string(300, 'a') + ":1").c_str());
}

TEST(Address, numbers_need_no_resolver_and_names_do) {
  sockaddr_storage out;
  CHECK(numeric_socket_address(*parse_address("127.0.0.1:9001"), out));
  CHECK(numeric_socket_address(*parse_address("[::1]:9001"), out));
  CHECK(!numeric_socket_address(*parse_address("localhost:9001"), out));
  CHECK(resolve_blocking(*parse_address("localhost:9001")).is_ok());
}

TEST(Address, wildcards_are_told_from_addresses) {
  CHECK(is_wildcard(*resolve_blocking(*parse_address("0.0.0.0:1"))));
  CHECK(is_wildcard(*resolve_blocking(*parse_address("[::]:1"))));
  CHECK(!is_wildcard(*resolve_blocking(*parse_address("127.0.0.1:1"))));
  CHECK(!is_wildcard(*resolve_blocking(*parse_address("[::1]:1"))));
}
