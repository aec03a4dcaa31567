package aigateway
