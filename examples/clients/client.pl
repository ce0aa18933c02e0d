# Pillion's local API from Perl, with the modules that every Perl has. Run it under Pillion: pillion run -- perl client.pl
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
my ($server) = $ENV{PILLION_URL} =~ m{^http://(.*?)/?$} or die "PILLION_URL is not set\n";
my $key = '/v1/config/clients/visits';
my $service = '/v1/services/printer';

# Sends a request on a connection of its own. In HTTP/1.0 the answer ends with the connection, and is never in chunks.
sub start {
    my ($method, $path, $body, @fields) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $server, Timeout => 30) or die "cannot reach $server: $@\n";
    my @head = ("$method $path HTTP/1.0", "Host: $server", "Authorization: Bearer $ENV{PILLION_TOKEN}", @fields);
    push @head, 'Content-Length: ' . length $body if defined $body;
    print $socket join("\r\n", @head), "\r\n\r\n", $body // '';
    $socket->flush;
    my ($status) = (<$socket> // '') =~ m{^HTTP/1\.[01] (\d+)} or die "no answer from $server\n";
    my $tag = '';
    while (defined(my $line = <$socket>)) {
        last if $line eq "\r\n";
        $tag = $1 if $line =~ /^etag:\s*(.*?)\s*$/i;
    }
    return ($status, $tag, $socket);
}

sub ask {
    my ($status, $tag, $socket) = start(@_);
    local $/;
    return ($status, $tag, <$socket> // '');
}

sub put {
    my ($path, $body, @fields) = @_;
    return ask('PUT', $path, $body, 'Content-Type: application/json', @fields);
}

sub expect {
    my ($status, @wanted) = @_;
    grep { $status == $_ } @wanted or die "unexpected status $status\n";
}

# Good for small objects; JSON::PP is there in a full Perl.
sub member {
    my ($text, $name) = @_;
    return $text =~ /"$name":\s*"?([^",}]*)/ ? $1 : die "no $name in $text\n";
}

# Writes the next number, if nobody has written since $tag; reads again and tries again if somebody has.
sub write_next {
    my ($tag) = @_;
    while (1) {
        my ($status, $now, $item) = ask('GET', $key);
        expect($status, 200);
        my $number = member($item, 'value') + 1;
        ($status, my $written) = put($key, "{\"value\": $number}", "If-Match: $tag");
        if ($status != 412) {
            expect($status, 200);
            print "write: $number\n";
            return $written;
        }
        print "write: somebody was faster, again\n";
        $tag = $now;
    }
}

my ($status, $first, $text, $stream);
($status) = ask('GET', $key);
expect($status, 404);
print "read: nothing there\n";

($status, $first) = put($key, '{"value": 1}', 'If-None-Match: *');    # only if there is nothing yet
expect($status, 201);
print "write: 1\n";
write_next($first);
my $newest = write_next($first);    # with a tag that is not the newest any more

($status, undef, $text) = ask('GET', $key);
expect($status, 200);
print 'read: ', member($text, 'value'), "\n";

# Server-sent events: what is there first, then `current`, then every change.
($status, undef, $stream) = start('GET', '/v1/config?prefix=clients/', undef, 'Accept: text/event-stream');
expect($status, 200);
my ($event, $current) = ('', 0);
while (defined(my $line = <$stream>)) {
    if ($line =~ /^event: (\w+)/) {
        $event = $1;
        if ($event eq 'current') {
            $current = 1;
            $newest = write_next($newest);
        }
    }
    elsif ($current && $event eq 'put' && $line =~ /^data: (.*)/) {
        print 'watch: ', member($1, 'value'), "\n";
        last;
    }
}
close $stream;

($status) = put("$service/instances/one", '{"address": "127.0.0.1", "port": 9100, "tags": ["laser"]}');
expect($status, 200, 201);
print "register: printer\n";

($status, undef, $text) = ask('GET', $service);
expect($status, 200);
print 'resolve: ', member($text, 'address'), ':', member($text, 'port'), ' ', member($text, 'status'), "\n";

($status) = ask('DELETE', "$service/instances/one");
expect($status, 204);
print "unregister: printer\n";

($status) = ask('POST', '/v1/watchdog', '');
expect($status, 200, 202, 204);
print "heartbeat: taken\n";

($status, undef, $text) = ask('POST', '/v1/logs', "INFO one line\nWARN another\n", 'Content-Type: text/plain');
expect($status, 202);
print 'log: ', member($text, 'records'), "\n";
