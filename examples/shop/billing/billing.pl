#!/usr/bin/perl
# The shop's billing worker: charges what the orders service asks for, and declines now and then, as card companies do.
# Perl as Debian has it, no modules from elsewhere. PORT comes from the environment. It logs JSON lines.
# What it has charged it asks back at the service that wanted it, by that service's name: HTTP::Tiny uses http_proxy, as
# programs have done for decades, and behind that is the sidecar, which knows where the service is.
use strict;
use warnings;
use HTTP::Tiny;
use IO::Socket::INET;
use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);
use POSIX qw(strftime);

$| = 1;
my $port     = $ENV{PORT} || 3002;
my $stopping = 0;
my ($charged, $declined, $cents_total) = (0, 0, 0);
my ($confirmed, $unconfirmed) = (0, 0);
my @to_confirm;

sub escape {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return $text;
}

sub say_json {
    my ($level, $message, %fields) = @_;
    my $line = sprintf '{"ts":"%s","level":"%s","msg":"%s"', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), $level, escape($message);
    for my $key (sort keys %fields) {
        my $value = $fields{$key};
        $line .= sprintf ',"%s":%s', $key, $value =~ /^\d{1,15}$/ ? $value : '"' . escape($value) . '"';
    }
    print "$line}\n";
}

sub answer {
    my ($client, $status, $reason, $body) = @_;
    my $length = length $body;
    print {$client} "HTTP/1.1 $status $reason\r\nContent-Type: application/json\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$body";
}

sub serve {
    my ($client) = @_;
    my $request = <$client>;
    # Whoever only looks whether the port is open says nothing.
    return unless defined $request;
    my ($method, $path) = $request =~ m{^(\w+) (\S+) HTTP/1\.[01]\r?\n};
    return answer($client, 400, 'Bad Request', "{}\n") unless defined $path;
    my %header;
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?\n/;
        $header{lc $1} = $2 if $line =~ /^([^:\s]+):\s*(.*?)\s*$/;
    }
    my $body = '';
    my $length = $header{'content-length'} || 0;
    read $client, $body, $length > 65536 ? 65536 : $length;

    return answer($client, 200, 'OK', "{\"status\":\"ok\",\"charged\":$charged,\"declined\":$declined}\n") if $path eq '/healthz';
    return answer($client, 404, 'Not Found', "{\"error\":\"not found\"}\n") unless $method eq 'POST' && $path eq '/charge';

    my ($order) = $body =~ /"order":\s*(\d+)/;
    my ($cents) = $body =~ /"cents":\s*(\d+)/;
    my $id = $header{'x-request-id'} || '-';
    return answer($client, 400, 'Bad Request', "{\"error\":\"no order, or no amount\"}\n") unless defined $order && defined $cents;

    # Every seventeenth card is bad; the same order always has the same fate.
    if ($order % 17 == 0) {
        $declined++;
        say_json('warn', 'card declined', order => $order, cents => $cents, id => $id);
        # Some libraries warn on stderr, in plain text and over two lines.
        print STDERR "WARN: card company says no for order $order\n    at gateway line 42\n" if $order % 34 == 0;
        return answer($client, 402, 'Payment Required', "{\"error\":\"card declined\"}\n");
    }
    my ($confirm) = $body =~ m{"confirm":\s*"(http://[\w.-]+/[\w/]+)"};
    push @to_confirm, [$order, $confirm] if defined $confirm && $ENV{http_proxy};
    $charged++;
    $cents_total += $cents;
    say_json('info', 'charged', order => $order, cents => $cents, id => $id);
    return answer($client, 200, 'OK', "{\"charged\":$cents}\n");
}

# The order before the latest one: the service has kept it by now.
sub confirm {
    return unless @to_confirm > 1;
    my ($order, $url) = @{ shift @to_confirm };
    @to_confirm = @to_confirm[-10 .. -1] if @to_confirm > 10;
    my $answer = HTTP::Tiny->new(timeout => 2)->get($url);
    my $reason = $answer->{headers}{'pillion-reason'} // '';
    if ($answer->{success}) { $confirmed++ } else { $unconfirmed++ }
    return if $answer->{success} && $confirmed % 50 != 1;
    say_json($answer->{success} ? 'info' : 'warn', $answer->{success} ? 'confirmed' : 'not confirmed',
        order => $order, url => $url, status => $answer->{status}, reason => $reason, confirmed => $confirmed, unconfirmed => $unconfirmed);
}

# A heartbeat by the sd_notify protocol: a datagram to the socket that NOTIFY_SOCKET names.
my $next_beat = 0;
sub beat {
    return unless $ENV{NOTIFY_SOCKET} && $ENV{WATCHDOG_USEC} && time >= $next_beat;
    $next_beat = time + int($ENV{WATCHDOG_USEC} / 3e6);
    socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or return;
    send $socket, 'WATCHDOG=1', 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET});
    close $socket;
}

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 128, ReuseAddr => 1)
    or die "billing: cannot listen on port $port: $!\n";
$SIG{TERM} = sub { $stopping = 1 };
say_json('info', 'billing is ready', port => $port, perl => "$^V");
# The wait is bounded, so that a TERM between the question and the wait is not overheard.
my $readable = '';
vec($readable, fileno $listener, 1) = 1;
$SIG{ALRM} = 'IGNORE';
until ($stopping) {
    beat();
    next unless select(my $ready = $readable, undef, undef, 0.2) > 0;
    my $client = $listener->accept or next;
    eval {
        local $SIG{ALRM} = sub { die "the client was too slow\n" };
        alarm 5;
        serve($client);
        1;
    } or say_json('error', "cannot serve: $@");
    alarm 0;
    close $client;
    confirm();
}
say_json('info', 'billing ends', charged => $charged, declined => $declined, cents => $cents_total);
